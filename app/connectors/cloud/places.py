"""Where an account's objects lie in a bucket of the operator's, and what they are called there, in any store."""

import re
import secrets
from dataclasses import dataclass
from typing import ClassVar

from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError
from app.connectors.contract.objects import NewFile

# What stores and Bedrock take as it is, and what means nothing else anywhere.
PREFIX = re.compile(r"([-!_*'().a-z0-9A-Z]+/)*")
# Names of the gateway's own begin so; each is the only one of its kind.
MARKER = "batchgate-"
MAX_NAME_BYTES = 255  # servers that keep objects in folders take no more
# A part of a path elsewhere, or the end of a line.
UNFIT = re.compile(r"[/\\\r\n]")
REFUSED, MISSING = 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Below `prefix` (ends with a slash, or is empty) of `bucket`, which is empty for an account without one.

    Raises ConfigurationError for names that no bucket or prefix can have.
    """

    bucket: str
    prefix: str = ""

    SCHEME: ClassVar[str]
    BUCKET: ClassVar[re.Pattern[str]]
    # What the store calls an object that is not there.
    MISSING_CODE: ClassVar[str]
    # Where an operator says which bucket it is.
    VARIABLE: ClassVar[str]

    def __post_init__(self) -> None:
        if self.bucket and not self.BUCKET.fullmatch(self.bucket):
            raise ConfigurationError(f"{self.bucket!r:.80} is no name of a bucket.")
        if not PREFIX.fullmatch(self.prefix) or climbs(self.prefix):
            raise ConfigurationError(
                f"The prefix {self.prefix!r:.80} must be words of A-Z a-z 0-9 - _ . ! * ' ( ) and /."
            )

    def uri(self, key: str) -> str:
        """The native id of the object at `key`."""
        return f"{self.SCHEME}://{self.bucket}/{key}"

    def key(self, uri: str) -> str:
        """The key that a native id means. Raises MissingError for one that lies elsewhere."""
        start = self.uri(self.prefix)
        if not self.bucket or not uri.startswith(start) or len(uri) == len(start) or climbs(uri):
            text = f"{uri[:200]!r} does not lie in the bucket and below the prefix of this account."
            raise MissingError(text, status=MISSING, code=self.MISSING_CODE, sent=False)
        return uri.removeprefix(self.uri(""))

    def new_key(self, new: NewFile) -> str:
        """Where a new file goes: into its folder, else into one of its own. Raises RefusedError."""
        self.require()
        name = object_name(new.filename)
        if new.folder is None:
            # Files of one name shall not be one object.
            folder = "" if name.startswith(MARKER) else f"{secrets.token_hex(8)}/"
            return f"{self.prefix}{folder}{name}"
        if not new.folder.startswith(self.prefix) or climbs(new.folder):
            text = f"The folder {new.folder[:200]!r} does not lie below the prefix of this account."
            raise RefusedError(text, status=REFUSED, code="invalid_folder", sent=False)
        return f"{new.folder}{name}"

    def require(self) -> None:
        """Raises RefusedError when there is no bucket."""
        if not self.bucket:
            text = (
                f"This account has no bucket, which files and batches need: set {self.VARIABLE} or the option bucket."
            )
            raise RefusedError(text, status=REFUSED, code="no_bucket", sent=False)


def prefix_of(option: str) -> str:
    """The prefix that an operator means, whatever slashes stand around its words."""
    return "".join(f"{word}/" for word in option.split("/") if word)


def climbs(key: str) -> bool:
    """True for a key that is another one to whoever takes it for a path."""
    return not {".", ".."}.isdisjoint(key.split("/"))


def object_name(filename: str) -> str:
    """The last part of a key, made of a name from outside."""
    name = UNFIT.sub("_", filename).encode("utf-8", "replace")[-MAX_NAME_BYTES:].decode("utf-8", "ignore")

    return "file" if name in ("", ".", "..") else name
