"""Rows of lines that wait: gone when their batch is."""

from sqlalchemy import select, update

from app.data.batches import waits
from app.data.batches.waits import NewWait
from app.data.tables import batch_line_waits, batches
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.batches import chat_line, create, jsonl

WAIT = NewWait(1, "retry", 1, 0, 1000, 1, 0, "overload", 429, None, None)


def test_waits_of_batches_that_have_ended_are_forgotten(client: KeyClient, gateway: Gateway) -> None:
    running, over = (create(client, jsonl([chat_line("a")]))["id"] for _ in range(2))
    with gateway.database.write() as connection:
        found = connection.execute(select(batches.c.public_id, batches.c.id)).all()
        ids = {row.public_id: row.id for row in found}
        for batch_id in (*ids.values(), 10**9):  # one is there no more
            waits.note(connection, batch_id, [WAIT])
        waits.forget_ended(connection)
        assert len(connection.execute(select(batch_line_waits)).all()) == 2
        connection.execute(update(batches).where(batches.c.id == ids[over]).values(status="completed"))
        waits.forget_ended(connection)
        left = connection.execute(select(batch_line_waits.c.batch_id)).scalars().all()

    assert left == [ids[running]]
