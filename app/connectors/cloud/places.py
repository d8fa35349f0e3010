"""Where an account's objects are in the operator's bucket, and their keys, in any object store."""

import re
import secrets
from dataclasses import dataclass
from typing import ClassVar

from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError
from app.connectors.contract.objects import NewFile

# Characters that object stores and Bedrock accept unchanged, and that have no other meaning.
PREFIX = re.compile(r"([-!_*'().a-z0-9A-Z]+/)*")
# Names that the gateway makes begin with this; each is unique.
MARKER = "batchgate-"
MAX_NAME_BYTES = 255  # the limit of servers that keep objects in directories
# Path separators and line breaks.
UNFIT = re.compile(r"[/\\\r\n]")
REFUSED, MISSING = 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket and a prefix (ends with a slash, or is empty). `bucket` is empty for an account without one.

    Raises ConfigurationError for an invalid bucket or prefix.
    """

    bucket: str
    prefix: str = ""

    SCHEME: ClassVar[str]
    BUCKET: ClassVar[re.Pattern[str]]
    # The store's error code for a missing object.
    MISSING_CODE: ClassVar[str]
    # The variable that sets the bucket.
    VARIABLE: ClassVar[str]

    def __post_init__(self) -> None:
        if self.bucket and not self.BUCKET.fullmatch(self.bucket):
            raise ConfigurationError(f"{self.bucket!r:.80} is not a valid bucket name.")
        if not PREFIX.fullmatch(self.prefix) or climbs(self.prefix):
            raise ConfigurationError(
                f"The prefix {self.prefix!r:.80} must be words of A-Z a-z 0-9 - _ . ! * ' ( ) and /."
            )

    def uri(self, key: str) -> str:
        """The native id of the object at `key`."""
        return f"{self.SCHEME}://{self.bucket}/{key}"

    def key(self, uri: str) -> str:
        """The key in a native id. Raises MissingError for an id outside the bucket and prefix."""
        start = self.uri(self.prefix)
        if not self.bucket or not uri.startswith(start) or len(uri) == len(start) or climbs(uri):
            text = f"{uri[:200]!r} is not in the bucket and below the prefix of this account."
            raise MissingError(text, status=MISSING, code=self.MISSING_CODE, sent=False)
        return uri.removeprefix(self.uri(""))

    def new_key(self, new: NewFile) -> str:
        """The key of a new file: in its folder, or else in a new one. Raises RefusedError."""
        self.require()
        name = object_name(new.filename)
        if new.folder is None:
            # Files with the same name must not overwrite each other.
            folder = "" if name.startswith(MARKER) else f"{secrets.token_hex(8)}/"
            return f"{self.prefix}{folder}{name}"
        if not new.folder.startswith(self.prefix) or climbs(new.folder):
            text = f"The folder {new.folder[:200]!r} is not below the prefix of this account."
            raise RefusedError(text, status=REFUSED, code="invalid_folder", sent=False)
        return f"{new.folder}{name}"

    def require(self) -> None:
        """Raise RefusedError if there is no bucket."""
        if not self.bucket:
            text = (
                f"This account has no bucket, which files and batches need: set {self.VARIABLE} or the option bucket."
            )
            raise RefusedError(text, status=REFUSED, code="no_bucket", sent=False)


def prefix_of(option: str) -> str:
    """A prefix from an option, with slashes normalised."""
    return "".join(f"{word}/" for word in option.split("/") if word)


def climbs(key: str) -> bool:
    """True for a key with a `.` or `..` segment, which would mean another key if taken as a path."""
    return not {".", ".."}.isdisjoint(key.split("/"))


def object_name(filename: str) -> str:
    """The last part of a key, from an untrusted filename."""
    name = UNFIT.sub("_", filename).encode("utf-8", "replace")[-MAX_NAME_BYTES:].decode("utf-8", "ignore")

    return "file" if name in ("", ".", "..") else name
