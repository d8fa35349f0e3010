"""Why the store did not take something: for a reason that passes by itself, or for one of what was to be stored."""

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.blobs import BlobError
from app.data.store.database import is_outage
from app.errors import UnavailableError


def passes(error: Exception) -> bool:
    """True when database or blob store are away, busy or full: the same call may succeed later.

    False for everything else, such as a value that the database refuses: no repetition will change that.
    """
    if isinstance(error, DBAPIError):
        return is_outage(error)
    return isinstance(error, BlobError | UnavailableError | PoolTimeoutError)


def reason(error: Exception) -> str:
    """What the store said, for a log."""
    return str(error.orig if isinstance(error, DBAPIError) else error)
