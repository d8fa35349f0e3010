"""Moving blobs from one store to another, while everything else goes on."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from app.blobs import BlobError, BlobStore, Stores
from app.data.files import blobs as rows
from app.data.files.blobs import Holding, Movable
from app.errors import GatewayError, InvalidRequestError, UnavailableError
from app.lib import failpoints
from app.services import blobs
from app.services.blobs import IncomingBlob, incoming
from app.services.gateway import Gateway

SLICE_ROWS = 200
THREADS = 4
# So many failures in a row are an outage, and not the fault of some blobs.
MAX_FAILURES = 20
MOVED, GONE, FAILED = "moved", "gone", "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a blob: moved; gone, when it was deleted or moved by somebody else; or failed, for `reason`."""

    key: str
    bytes: int
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A store that rows name, or that settings do. `is_known` says whether this process can open it."""

    holding: Holding
    is_known: bool
    is_default: bool


class _GoneError(Exception):
    """The blob was deleted, or moved by another process."""


class _DamagedError(Exception):
    """The bytes are not those that were written once."""


def move(gateway: Gateway, *, to: str, threads: int = THREADS) -> Iterator[Outcome]:
    """Move every live blob to the store `to`: copy it, read the copy back, exchange the two, delete the old one.

    What a crash leaves is swept, and another call goes on with the rest. Raises InvalidRequestError when this process
    does not know the store, and UnavailableError when nothing can be moved any more.
    """
    target = _known(gateway, to)
    after = failures = 0
    with ThreadPoolExecutor(threads) as pool:
        while True:
            with gateway.database.read() as connection:
                found = rows.elsewhere(connection, store=target.url, after=after, limit=SLICE_ROWS)
            if not found:
                return
            for outcome in pool.map(partial(_move_one, gateway, target), found):
                failures = failures + 1 if outcome.state == FAILED else 0
                yield outcome
                if failures >= MAX_FAILURES:
                    raise UnavailableError(f"{failures} blobs in a row failed, so this ends here: {outcome.reason}")
            after = found[-1].id


def stores(gateway: Gateway) -> list[Store]:
    """What each store has, those that have nothing included."""
    with gateway.database.read() as connection:
        found = {holding.store: holding for holding in rows.holdings(connection)}
    known = [store.url for store in gateway.blobs.all] if isinstance(gateway.blobs, Stores) else [gateway.blobs.url]
    listed = [*known, *sorted(set(found) - set(known))]
    return [Store(found.get(url, Holding(url, 0, 0)), url in known, url == gateway.blobs.url) for url in listed]


def _known(gateway: Gateway, url: str) -> BlobStore:
    try:
        store = gateway.blobs.at(url)
    except BlobError as error:
        raise InvalidRequestError(str(error), param="to") from error
    if store.url != url:
        raise InvalidRequestError(f"{url} is neither BATCHGATE_BLOB_URL nor in BATCHGATE_BLOB_STORES.", param="to")
    return store


def _move_one(gateway: Gateway, target: BlobStore, blob: Movable) -> Outcome:
    try:
        with incoming(gateway, store=target) as copy:
            _copy(gateway, target, blob, copy)
            _exchange(gateway, blob, copy)
    except _GoneError:
        return Outcome(blob.key, blob.bytes, GONE)
    except (BlobError, GatewayError, _DamagedError) as error:
        with gateway.database.read() as connection:
            is_there = rows.is_at(connection, blob)
        return Outcome(blob.key, blob.bytes, FAILED if is_there else GONE, str(error))
    blobs.remove_condemned(gateway, copy.id)
    return Outcome(blob.key, blob.bytes, MOVED)


def _exchange(gateway: Gateway, blob: Movable, copy: IncomingBlob) -> None:
    failpoints.hit("move.before_exchange")
    with gateway.database.write() as connection:
        if not copy.exchange(connection, blob):
            raise _GoneError
    failpoints.hit("move.after_exchange")


def _copy(gateway: Gateway, target: BlobStore, blob: Movable, copy: IncomingBlob) -> None:
    """Copy the bytes, and read the copy back. Raises _DamagedError unless it is what was written once."""
    for data in gateway.blobs.at(blob.place.store).stream(blob.place.name, length=blob.bytes):
        copy.write(data)
    if blob.sha256 not in (None, copy.sha256):
        raise _DamagedError(f"{blob.place.name} in {blob.place.store} has another SHA-256 than its row: it is damaged.")
    copy.seal()
    digest = hashlib.sha256()
    for data in target.stream(copy.key, length=blob.bytes):
        digest.update(data)
        copy.keep()
    if digest.hexdigest() != copy.sha256:
        raise _DamagedError(f"{target.url} returned other bytes than were written.")
