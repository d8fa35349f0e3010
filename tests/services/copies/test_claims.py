"""Who settles a native object: one at a time, and only whoever claimed it last."""

from sqlalchemy import Connection, update

from app.data.files import native_objects as rows
from app.data.tables import native_objects
from app.services.gateway import Gateway

LEASE_MS = 60_000


def condemned(connection: Connection, gateway: Gateway) -> int:
    """An object that is to be deleted at its provider."""
    account_id = min(gateway.accounts.ids())
    file = {"variant": "raw", "purpose": "user_data", "filename": "a.txt"}
    object_id = rows.insert_live(connection, account_id=account_id, native_id="file-1", **file)
    assert rows.condemn_unused(connection, [object_id]) == [object_id]
    return object_id


def test_an_object_is_settled_under_its_last_claim_alone(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        object_id = condemned(connection, gateway)
        claim = {"state": "deleting", "worker": "sweep", "lease_ms": LEASE_MS}
        first = rows.claim(connection, object_id, **claim)
        assert first is not None
        assert rows.claim(connection, object_id, **claim) is None  # the first lease holds
        assert list(rows.due(connection, limit=10)) == []
        connection.execute(update(native_objects).values(lease_until=0))
        second = rows.claim(connection, object_id, **claim)
        assert second is not None
        assert not rows.finish(connection, first)
        assert not rows.postpone(connection, first, delay_ms=0, error="late")
        assert not rows.give_up(connection, first, error="late")
        assert rows.finish(connection, second)
        assert rows.claim(connection, object_id, **claim) is None
