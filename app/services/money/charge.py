"""Charges lines: writes their cost to the ledger in the transaction that marks them, once for each line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.access import off_peak
from app.data.money import ledger
from app.data.money.ledger import Charge, ChargedBatch
from app.engine.outcomes import ABORTED_ANSWER, BAD_ANSWER, Line, Result, Tokens
from app.lib import hours
from app.lib.metrics import declared
from app.lib.money import PICODOLLARS
from app.services.gateway import Gateway
from app.services.limits import limits
from app.services.money import budgets, prices
from app.services.money.prices import Price

# $1,000, far more than any line costs. An answer that reports more tokens than that is wrong: its cost is unknown.
MAX_LINE_PICODOLLARS = 10**15
# Failures of lines for which the provider sent an answer.
ANSWERED = (BAD_ANSWER, ABORTED_ANSWER)


@dataclass(frozen=True, slots=True)
class Charged:
    """What was written to the ledger: what is known to have been spent, and how many entries have no cost, by kind."""

    provider: str
    picodollars: int
    unknown: Mapping[str, int]


def charge(connection: Connection, gateway: Gateway, batch_id: int, results: Sequence[Result]) -> Charged | None:
    """Charges lines that have just ended, and records their earlier attempts of unknown cost.

    A failed line is free, unless the provider sent an answer that is unreadable or reports tokens. The caller marks
    the lines in the same transaction. None when there was nothing to charge.
    """
    return _charge(connection, gateway, batch_id, results, [result.line for result in results])


def note_attempts(connection: Connection, gateway: Gateway, batch_id: int, lines: Sequence[Line]) -> None:
    """Records attempts, which the provider may have charged for, of lines that will be retried."""
    if charged := _charge(connection, gateway, batch_id, (), lines):
        note(gateway, charged)


def note_lost_lease(connection: Connection, gateway: Gateway, batch_id: int, *, first_line: int, epoch: int) -> None:
    """Records that a segment's lease expired: some of its lines may have been sent, and will be sent again."""
    batch = ledger.charged_batch(connection, batch_id)
    key = f"attempt:{batch_id}:segment:{first_line}:{epoch}"
    if ledger.insert(connection, [_charge_of(batch, kind="attempt", charge_key=key)]):
        note(gateway, Charged(batch.provider, 0, {"attempt": 1}))


def note_job(
    connection: Connection, gateway: Gateway, batch_id: int, *, job_id: int, attempt: int, has_run: bool = False
) -> None:
    """Records a job that may run, or have run, at its provider, and whose usage will never be known.

    Of one that `has_run`, budgets count the parts of the batch's reservation that are of its lines without a result.
    """
    batch = ledger.charged_batch(connection, batch_id)
    written = ledger.insert(connection, [_charge_of(batch, kind="job", charge_key=f"job:{job_id}:{attempt}")])
    if written:
        note(gateway, Charged(batch.provider, 0, {"job": 1}))
    if written and has_run:
        budgets.settle(connection, batch_id, 0, parts=ledger.unended_lines(connection, job_id))


def note(gateway: Gateway, charged: Charged) -> None:
    """Counts for metrics what was written to the ledger."""
    gateway.metrics.count(declared.COST, charged.provider, by=charged.picodollars / PICODOLLARS)
    for kind, entries in charged.unknown.items():
        gateway.metrics.count(declared.UNKNOWN_COSTS, charged.provider, kind, by=entries)


def _charge(
    connection: Connection, gateway: Gateway, batch_id: int, results: Sequence[Result], lines: Sequence[Line]
) -> Charged | None:
    used = [result for result in results if is_charged(result)]
    unknown = [(line.number, n) for line in lines for n in range(1, line.unknown_attempts + 1)]
    if not used and not unknown:
        return None
    batch = ledger.charged_batch(connection, batch_id)
    numbers = [*(result.line.number for result in used), *(n for n, _ in unknown)]
    book = _Prices(connection, batch, numbers, at_ms=gateway.clock.now_ms())
    charges = [_line_charge(book, result) for result in used]
    charges += [
        _charge_of(
            batch,
            kind="attempt",
            charge_key=f"attempt:{batch_id}:{number}:{attempt}",
            line=number,
            model=book.model_of(number),
        )
        for number, attempt in unknown
    ]
    written = ledger.insert(connection, charges)
    charged = [charge for charge in charges if charge.kind == "line" and charge.charge_key in written]
    known = sum(charge.cost_picodollars or 0 for charge in charged)
    unheard = [charge for charge in charges if charge.cost_picodollars is None and charge.charge_key in written]
    by_line = {result.line.number: result.most for result in used if result.most}
    by_attempt = {line.number: line.most for line in lines if line.most}
    most = [_most(book, charge, by_line if charge.kind == "line" else by_attempt) for charge in unheard]
    parts = sum(cost is None for cost in most)
    budgets.settle(connection, batch_id, known + sum(cost or 0 for cost in most), parts=parts)
    tokens = sum((charge.input_tokens or 0) + (charge.output_tokens or 0) for charge in charged)
    limits.count_tokens(connection, batch.project_id, batch.key_id, batch.account_id, tokens)
    if len(charged) < len(used):
        gateway.log.error("ledger.line_repeated", batch=batch.public_id, lines=len(used) - len(charged))
    return Charged(batch.provider, known, Counter(charge.kind for charge in unheard))


class _Prices:
    """Models and prices of some lines of a batch; each price is looked up once."""

    def __init__(self, connection: Connection, batch: ChargedBatch, lines: Sequence[int], *, at_ms: int) -> None:
        self._connection = connection
        self.batch = batch
        # Only a batch that the provider runs has lines of several models.
        mixed = batch.execution == prices.PROVIDER and batch.model_override is None
        # What a provider runs costs what its batches cost, at any hour.
        is_ours = batch.execution != prices.PROVIDER
        windows = off_peak.hours(connection, batch.account_id, batch.model) if is_ours else []
        self.percent = hours.percent(windows, at_ms) if windows else hours.FULL
        self._models = ledger.other_models(connection, batch.id, lines) if mixed else {}
        self._known: dict[str, Price | None] = {}
        if batch.rates is not None:
            self._known[batch.model or ""] = prices.of_rates(batch.rates)

    def model_of(self, line: int) -> str:
        return self._models.get(line) or self.batch.model or ""

    def price_of(self, model: str) -> Price | None:
        if model not in self._known:
            self._known[model] = prices.find(
                self._connection, provider=self.batch.provider, model=model, at_ms=self.batch.created_at
            )
        return self._known[model]


def _most(book: _Prices, charge: Charge, most: Mapping[int, Tokens]) -> int | None:
    """What a charge of unknown cost can come to; None if that is not known either. `most` are tokens, by line.

    The ledger has no cost for it, but budgets count this much: else an answer that says nothing would be free.
    """
    tokens = None if charge.line is None else most.get(charge.line)
    if tokens is None:
        return None
    cost = prices.cost_of(book.price_of(charge.model), tokens, execution=book.batch.execution, percent=book.percent)
    return cost if cost is not None and cost <= MAX_LINE_PICODOLLARS else None


def _line_charge(book: _Prices, result: Result) -> Charge:
    batch, number = book.batch, result.line.number
    model = book.model_of(number)
    price = book.price_of(model)
    tokens = result.tokens
    # No line has an empty input, so an answer without input tokens does not report its usage.
    is_known = tokens.input and result.most is None
    cost = prices.cost_of(price, tokens if is_known else None, execution=batch.execution, percent=book.percent)
    return _charge_of(
        batch,
        kind="line",
        charge_key=f"line:{batch.id}:{number}",
        line=number,
        model=model,
        tokens=tokens if _has_usage(tokens) else None,
        price_id=None if price is None else price.id,
        cost=cost if cost is None or cost <= MAX_LINE_PICODOLLARS else None,
    )


def _charge_of(
    batch: ChargedBatch,
    *,
    kind: str,
    charge_key: str,
    line: int | None = None,
    model: str = "",
    tokens: Tokens | None = None,
    price_id: int | None = None,
    cost: int | None = None,
) -> Charge:
    """Returns a charge; tokens and cost are unknown unless they are given."""
    return Charge(
        charge_key=charge_key,
        kind=kind,
        project_id=batch.project_id,
        key_id=batch.key_id,
        account_id=batch.account_id,
        batch_id=batch.id,
        line=line,
        provider=batch.provider,
        model=model or batch.model or "",
        execution=batch.execution,
        input_tokens=tokens.input if tokens else None,
        cached_tokens=tokens.cached if tokens else None,
        output_tokens=tokens.output if tokens else None,
        reasoning_tokens=tokens.reasoning if tokens else None,
        price_id=price_id,
        cost_picodollars=cost,
    )


def is_charged(result: Result) -> bool:
    """True when the provider has worked for the result."""
    return result.succeeded or result.error_code in ANSWERED or _has_usage(result.tokens)


def _has_usage(tokens: Tokens) -> bool:
    return tokens.input > 0 or tokens.output > 0
