"""What tests of money share: prices, batches that are only rows, and the ledger as it is."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert, select, update

from app.data.tables import accounts, batch_lines, batches, files, usage_ledger
from app.engine.outcomes import Line, Result, Tokens
from app.services.gateway import Caller, Gateway
from app.services.money import charge as money_charge
from app.services.money import price_book
from app.services.money.price_book import ListedPrice, NewPrice

USED = Tokens(input=10, cached=4, output=5, reasoning=2, total=15)


def set_price(gateway: Gateway, provider: str, model: str, *rates: int | None, percent: int = 100) -> ListedPrice:
    """A price from now on; `rates` are picodollars of a token of input, cached input and output."""
    given, cached, made = (*rates, None, None, None)[:3]
    return price_book.set_(gateway, NewPrice(provider, model, given, cached, made, batch_percent=percent))


def insert_batch(gateway: Gateway, caller: Caller, *, lines: Sequence[str | None] = (), **values: Any) -> int:
    """A batch of the caller, whose n-th line has the n-th of the models `lines`; returns its integer id."""
    gateway.accounts.providers()  # those of the environment are rows from now on
    with gateway.database.write() as connection:
        made = {"project_id": caller.project_id, "created_at": 1, "home": "local", "purpose": "batch"}
        file = insert(files).values(
            public_id="file-in", filename="in", status="processed", origin="upload", bytes=1, **made
        )
        full: dict[str, Any] = {
            "public_id": "batch_money",
            "project_id": caller.project_id,
            "key_id": caller.key_id,
            "account_id": connection.execute(select(accounts.c.id)).scalars().first(),
            "provider": "local",
            "execution": "gateway",
            "endpoint": "/v1/chat/completions",
            "model": "m",
            "completion_window": "24h",
            "input_file_id": connection.execute(file).inserted_primary_key[0],  # type: ignore[index]
            "status": "in_progress",
            "created_at": 10**15,
            "expires_at": 2 * 10**15,
        }
        batch_id = int(connection.execute(insert(batches).values(full | values)).inserted_primary_key[0])  # type: ignore[index]
        rows = [
            {"batch_id": batch_id, "line": number, "custom_id": f"c{number}", "state": "pending", "model": model}
            for number, model in enumerate(lines, start=1)
        ]
        if rows:
            connection.execute(insert(batch_lines), [{**row, "request_offset": 0, "request_bytes": 1} for row in rows])
    return batch_id


def freeze(gateway: Gateway, batch_id: int, price: ListedPrice) -> None:
    """The batch was planned when this was its price."""
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.id == batch_id).values(price_id=price.id))


def done(number: int, tokens: Tokens = USED, *, succeeded: bool = True, unknown: int = 0) -> Result:
    """The end of line `number`."""
    line = Line(number, f"c{number}", 0, 1, attempts=1 + unknown, unknown_attempts=unknown)
    return Result(line=line, succeeded=succeeded, data=b"{}\n", status_code=200 if succeeded else 400, tokens=tokens)


def charge(gateway: Gateway, batch_id: int, results: Iterable[Result]) -> None:
    """Charge for the results in a transaction of their own."""
    with gateway.database.write() as connection:
        money_charge.charge(connection, gateway, batch_id, list(results))


def entries(gateway: Gateway, kind: str | None = None) -> list[Any]:
    """The ledger, in order; with `kind` only those."""
    statement = select(usage_ledger).order_by(usage_ledger.c.batch_id, usage_ledger.c.line, usage_ledger.c.id)
    with gateway.database.read() as connection:
        return [row for row in connection.execute(statement) if kind in (None, row.kind)]
