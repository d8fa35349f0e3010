"""Events are deleted when they are old, a slice at a time."""

from dataclasses import replace

from sqlalchemy import insert, select

from app.data.store.database import now_ms
from app.data.tables import events
from app.services.gateway import Gateway
from app.services.upkeep import retention
from app.services.upkeep.retention import DAY_MS, SLICE_ROWS


def put(gateway: Gateway, ages_days: list[float]) -> None:
    with gateway.database.write() as connection:
        now = int(connection.execute(select(now_ms())).scalar_one())
        rows = [
            {
                "created_at": now - int(age * DAY_MS),
                "request_id": f"{age}",
                "source": "api",
                "operation": "file_upload",
                "outcome": "done",
            }
            for age in ages_days
        ]
        connection.execute(insert(events), rows)


def left(gateway: Gateway) -> list[str]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(events.c.request_id).order_by(events.c.id)).scalars())


def keeping(gateway: Gateway, days: int) -> Gateway:
    return replace(gateway, settings=replace(gateway.settings, events_retention_days=days))


def test_events_are_kept_for_their_time(gateway: Gateway) -> None:
    put(gateway, [*[9.0] * (SLICE_ROWS + 20), 8.1, 7.9, 1.0, 0.0])
    assert retention.drop_events(keeping(gateway, 0)) == 0
    assert retention.drop_events(keeping(gateway, 30)) == 0
    assert retention.drop_events(keeping(gateway, 8)) == SLICE_ROWS + 21
    assert left(gateway) == ["7.9", "1.0", "0.0"]
    assert retention.drop_events(keeping(gateway, 8)) == 0


def test_without_events_nothing_is_dropped(gateway: Gateway) -> None:
    assert retention.drop_events(keeping(gateway, 1)) == 0
