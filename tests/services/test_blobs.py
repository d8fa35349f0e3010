"""Bytes on their way in, beside a sweeper: it takes nothing from a writer that is alive, and all of one that is not."""

import pytest
from sqlalchemy import select, update

from app import errors
from app.data.files import blobs as rows
from app.data.store.database import now_ms
from app.data.tables import blobs
from app.services import blobs as service
from app.services.gateway import Gateway
from tests.support import stored

LEASE_S = 60.0


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_UPLOAD_LEASE_SECONDS": str(int(LEASE_S))}


def settle(gateway: Gateway, blob: service.IncomingBlob) -> None:
    """Make the bytes live, as the transaction does that refers to them."""
    with gateway.database.write() as connection:
        blob.settle(connection)


def expire(gateway: Gateway) -> None:
    """Let the leases of all writers expire."""
    with gateway.database.write() as connection:
        connection.execute(update(blobs).where(blobs.c.state == "pending").values(lease_until=0))


def states(gateway: Gateway) -> list[str]:
    """The states of all blobs."""
    with gateway.database.read() as connection:
        return list(connection.execute(select(blobs.c.state)).scalars())


def test_the_sweeper_leaves_bytes_alone_whose_writer_is_on_lease(gateway: Gateway) -> None:
    with service.incoming(gateway) as blob:
        blob.write(b"bytes")
        assert service.sweep(gateway) == 0
        with gateway.database.read() as connection:
            left_ms = connection.execute(select(blobs.c.lease_until - now_ms())).scalar_one()
        assert LEASE_S / 2 < left_ms / 1000 <= LEASE_S
        blob.seal()
        assert service.sweep(gateway) == 0
        settle(gateway, blob)
    assert service.sweep(gateway) == 0
    assert b"".join(gateway.blobs.stream(blob.key)) == b"bytes"


def test_bytes_of_a_writer_that_fell_silent_are_swept_and_cannot_be_used(gateway: Gateway) -> None:
    with pytest.raises(errors.UnavailableError), service.incoming(gateway) as blob:
        blob.write(b"bytes")
        blob.seal()
        expire(gateway)
        assert service.sweep(gateway) == 1
        settle(gateway, blob)
    assert states(gateway) == []
    assert stored.sizes(gateway) == {}


def test_a_writer_that_comes_back_before_the_sweeper_keeps_its_bytes(gateway: Gateway) -> None:
    with service.incoming(gateway) as blob:
        expire(gateway)
        with gateway.database.read() as connection:
            (due,) = rows.unsettled(connection, limit=10)  # the sweeper has seen it ...
        with gateway.database.write() as connection:
            assert rows.renew(connection, blob.id, lease_s=LEASE_S)
        with gateway.database.write() as connection:
            assert not rows.condemn_abandoned(connection, due.id)  # ... and looks again
        blob.seal()
        settle(gateway, blob)
    with gateway.database.write() as connection:
        assert not rows.condemn_abandoned(connection, due.id)
    assert states(gateway) == ["live"]


def test_what_a_failure_leaves_is_neither_a_row_nor_bytes(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="broke off"), service.incoming(gateway) as blob:
        blob.write(b"bytes")
        raise ValueError("broke off")
    assert states(gateway) == []
    assert not any(path.is_file() for path in gateway.settings.home.rglob(f"*{blob.key}*"))
