"""What lines cost, written into the ledger in the transaction that marks them: each line once, whatever is repeated."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.data.money import ledger
from app.data.store.database import AnyRow
from app.engine.outcomes import BAD_ANSWER, Line, Result, Tokens
from app.services.gateway import Gateway
from app.services.limits import limits
from app.services.money import budgets, prices
from app.services.money.prices import Price

# No line costs more, by far ($1,000): beyond it an answer's word on its tokens is not believed, and the cost unknown.
MOST_PICODOLLARS = 10**15

Row = dict[str, Any]


def charge(connection: Connection, gateway: Gateway, batch_id: int, results: Sequence[Result]) -> None:
    """Write down what lines that have just ended cost, and their attempts that nobody knows the cost of.

    A line that failed costs nothing, unless it has an answer that could not be read, or one that tells tokens. The
    caller marks the lines in this transaction.
    """
    _charge(connection, gateway, batch_id, results, [result.line for result in results])


def note_attempts(connection: Connection, gateway: Gateway, batch_id: int, lines: Sequence[Line]) -> None:
    """Write down attempts of lines that are to be sent again, which the provider may have charged for."""
    _charge(connection, gateway, batch_id, (), lines)


def note_lost_lease(connection: Connection, batch_id: int, *, first_line: int, epoch: int) -> None:
    """A worker vanished with a segment: some of its lines may have been sent, and will be again."""
    batch = ledger.facts(connection, batch_id)
    key = f"attempt:{batch_id}:segment:{first_line}:{epoch}"
    ledger.insert(connection, [_row(batch, batch_id, kind="attempt", charge_key=key)])


def note_job(connection: Connection, batch_id: int, *, job_id: int, attempt: int) -> None:
    """A job may run, or have run, at its provider, and nobody will hear what it used."""
    batch = ledger.facts(connection, batch_id)
    ledger.insert(connection, [_row(batch, batch_id, kind="job", charge_key=f"job:{job_id}:{attempt}")])


def _charge(
    connection: Connection, gateway: Gateway, batch_id: int, results: Sequence[Result], lines: Sequence[Line]
) -> None:
    used = [result for result in results if _is_charged(result)]
    unknown = [(line.number, n) for line in lines for n in range(1, line.unknown_attempts + 1)]
    if not used and not unknown:
        return
    batch = ledger.facts(connection, batch_id)
    book = _Prices(connection, batch, batch_id, [*(result.line.number for result in used), *(n for n, _ in unknown)])
    rows = [_line_row(book, result) for result in used]
    rows += [
        _row(
            batch,
            batch_id,
            kind="attempt",
            charge_key=f"attempt:{batch_id}:{number}:{attempt}",
            line=number,
            model=book.model_of(number),
        )
        for number, attempt in unknown
    ]
    written = ledger.insert(connection, rows)
    charged = [row for row in rows if row["kind"] == "line" and row["charge_key"] in written]
    budgets.settle(connection, batch_id, sum(row["cost_picodollars"] or 0 for row in charged))
    tokens = sum((row["input_tokens"] or 0) + (row["output_tokens"] or 0) for row in charged)
    limits.count_tokens(connection, batch.project_id, batch.key_id, batch.account_id, tokens)
    if len(charged) < len(used):
        gateway.log.error("ledger.line_repeated", batch=batch_id, lines=len(used) - len(charged))


class _Prices:
    """Models and prices of some lines of a batch, each price looked up once."""

    def __init__(self, connection: Connection, batch: AnyRow, batch_id: int, lines: Sequence[int]) -> None:
        self._connection = connection
        self.batch = batch
        self.batch_id = batch_id
        # Only a provider's own batch takes lines of several models.
        mixed = batch.execution == prices.PROVIDER and batch.model_override is None
        self._models = ledger.other_models(connection, batch_id, lines) if mixed else {}
        self._known: dict[str, Price | None] = {}
        if batch.id is not None:
            self._known[batch.model or ""] = prices.of_row(batch)

    def model_of(self, line: int) -> str:
        return self._models.get(line) or self.batch.model or ""

    def price_of(self, model: str) -> Price | None:
        if model not in self._known:
            self._known[model] = prices.find(
                self._connection, provider=self.batch.provider, model=model, at_ms=self.batch.created_at
            )
        return self._known[model]


def _line_row(book: _Prices, result: Result) -> Row:
    batch, number = book.batch, result.line.number
    model = book.model_of(number)
    price = book.price_of(model)
    tokens = result.tokens
    # Nothing is read without input: an answer that tells none does not tell what it used.
    cost = prices.cost_of(price, tokens if tokens.input else None, execution=batch.execution)
    row = _row(batch, book.batch_id, kind="line", charge_key=f"line:{book.batch_id}:{number}", line=number, model=model)
    if _told(tokens):
        row |= {
            "input_tokens": tokens.input,
            "cached_tokens": tokens.cached,
            "output_tokens": tokens.output,
            "reasoning_tokens": tokens.reasoning,
        }
    row["price_id"] = None if price is None else price.id
    row["cost_picodollars"] = cost if cost is None or cost <= MOST_PICODOLLARS else None
    return row


def _row(batch: AnyRow, batch_id: int, *, kind: str, charge_key: str, line: int | None = None, model: str = "") -> Row:
    """A charge of unknown tokens and cost."""
    return {
        "charge_key": charge_key,
        "kind": kind,
        "project_id": batch.project_id,
        "key_id": batch.key_id,
        "account_id": batch.account_id,
        "batch_id": batch_id,
        "line": line,
        "provider": batch.provider,
        "model": model or batch.model or "",
        "execution": batch.execution,
        "input_tokens": None,
        "cached_tokens": None,
        "output_tokens": None,
        "reasoning_tokens": None,
        "price_id": None,
        "cost_picodollars": None,
    }


def _is_charged(result: Result) -> bool:
    return result.succeeded or result.error_code == BAD_ANSWER or _told(result.tokens)


def _told(tokens: Tokens) -> bool:
    return tokens.input > 0 or tokens.output > 0
