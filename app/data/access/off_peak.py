"""Off-peak hours of accounts and their models."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from app.data.store.database import now_ms
from app.data.tables import off_peak_windows
from app.lib.hours import Hours


@dataclass(frozen=True, slots=True)
class OffPeak:
    """Hours of an account, for all of its models (`model` is None) or one."""

    model: str | None
    hours: Hours


def of_account(connection: Connection, account_id: int) -> list[OffPeak]:
    """All hours of an account, in order."""
    mine = select(off_peak_windows).where(off_peak_windows.c.account_id == account_id).order_by(off_peak_windows.c.id)
    return [
        OffPeak(row.model or None, Hours(row.begins_minute, row.ends_minute, row.zone, row.days, row.percent))
        for row in connection.execute(mine)
    ]


def hours(connection: Connection, account_id: int, model: str | None) -> list[Hours]:
    """The hours that count for a model at an account."""
    return [each.hours for each in of_account(connection, account_id) if each.model in (None, model)]


def replace(connection: Connection, account_id: int, windows: Sequence[OffPeak]) -> None:
    """Give an account these hours, and no others."""
    connection.execute(delete(off_peak_windows).where(off_peak_windows.c.account_id == account_id))
    for each in windows:
        values = {"account_id": account_id, "model": each.model or "", "days": each.hours.days, "created_at": now_ms()}
        minutes = {"begins_minute": each.hours.begins, "ends_minute": each.hours.ends}
        statement = insert(off_peak_windows).values(**values, **minutes, zone=each.hours.zone)
        connection.execute(statement.values(percent=each.hours.percent))
