"""What the library of object stores raises, as BlobErrors whose text may be logged."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from app.blobs.base import BlobError, BlobFullError, BlobMissingError

MAX_TEXT = 400
FULL = re.compile(r"QuotaExceeded|StorageFull|InsufficientStorage|507 Insufficient")
# What servers repeat of a request that they refuse, and what signs URLs.
ECHOED = re.compile(
    r"<(AWSAccessKeyId|AccessKeyId|StringToSign\w*|SignatureProvided|CanonicalRequest\w*|AuthenticationErrorDetail)>"
    r".*?(</\1>|$)",
    re.DOTALL,
)
SIGNED = re.compile(
    r"\b(sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+|authorization|token)(=|:\s*)[^&\s\"'<>,)]+", re.IGNORECASE
)
REFUSED = (PermissionDeniedError, UnauthenticatedError)
OUT_OF_RANGE = re.compile(r"416 Range Not Satisfiable|Wanted range starting at \d+, but")


@contextmanager
def translated(secrets: Sequence[str], *, name: str = "", reading: bool = False) -> Iterator[None]:
    """Raises the BlobError for what the library raises within; `name` is the object's. None of `secrets` is in it.

    What is not there is a BlobMissingError when `reading`; a writer misses its bucket.
    """
    try:
        yield
    except FileNotFoundError as error:
        text = _text(error, secrets)
        raise (BlobMissingError if reading else BlobError)(f"{name}: {text}") from None
    except (BaseError, OSError, NotImplementedError, ValueError) as error:
        # Without the cause: its text has the whole request, and tracebacks show causes.
        text = _text(error, secrets)
        if FULL.search(text):
            raise BlobFullError(f"{name}: {text}") from None
        refused = "the store refuses the credentials: " if isinstance(error, REFUSED) else ""
        raise BlobError(f"{name}: {refused}{text}") from None


def is_out_of_range(error: Exception) -> bool:
    """True when the object ends before the range that was read, as an empty one does before any."""
    return OUT_OF_RANGE.search(str(error)) is not None


def _text(error: Exception, secrets: Sequence[str]) -> str:
    text = str(error).partition("\n\nDebug source")[0]
    for secret in secrets:
        text = text.replace(secret, "...")
    text = SIGNED.sub(r"\1=...", ECHOED.sub("", text))
    return re.sub(r"\s+", " ", text)[:MAX_TEXT]
