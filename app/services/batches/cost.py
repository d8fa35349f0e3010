"""The most that a batch input can cost, in picodollars: the estimate of its tokens at current prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from app.connectors.contract.abilities import Support
from app.data.money import prices as price_rows
from app.engine.outcomes import Tokens
from app.errors import InvalidRequestError
from app.services.accounts import choose
from app.services.batches import estimate as batch_estimate
from app.services.batches.estimate import Estimate, Sums
from app.services.gateway import Caller, Gateway
from app.services.money import budgets, prices

PROVIDER, GATEWAY = "provider", "gateway"
UNKNOWN_PRICE = "price_unknown"
NOTHING_TO_RESERVE = "estimate_unknown"
DEARER = "fallback_costs_more"
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Costs:
    """The most that lines can cost, by model and in total, in picodollars; None is unknown.

    `unseen` are the models that have a price, but nothing that their lines show has one.
    """

    models: Mapping[str, int | None]
    total: int | None
    unseen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FileEstimate:
    """What a batch on a file would use and cost at a provider, run as `execution` says."""

    file_id: str
    provider: str
    execution: str
    estimate: Estimate
    costs: Costs
    default_output_tokens: int


def of_file(
    gateway: Gateway,
    caller: Caller,
    file_id: str,
    *,
    provider: str | None = None,
    model: str | None = None,
    execution: str | None = None,
) -> FileEstimate:
    """The cost of a batch on a file of the project where it would run. Raises NotFoundError, InvalidRequestError."""
    file, estimate = batch_estimate.of_file(gateway, caller, file_id, provider=provider)
    where = file.home
    if model is not None:
        choice = choose.choose(gateway, caller, explicit=provider, model=model)
        where, model = choice.provider, choice.model or model
        estimate = Estimate(lines=estimate.lines, invalid_lines=estimate.invalid_lines, models={model: estimate.total})
    runs = execution_of(gateway, where, execution)
    priced = costs(gateway, estimate, provider=where, model=model, execution=runs)
    return FileEstimate(file.public_id, where, runs, estimate, priced, gateway.settings.default_output_tokens)


def costs(gateway: Gateway, estimate: Estimate, *, provider: str, model: str | None, execution: str) -> Costs:
    """The most that an input can cost at a provider; `model`, if given, replaces the models of the lines."""
    sums = {model: estimate.total} if model is not None else estimate.models
    each, unseen = _priced(gateway, sums, provider=provider, execution=execution)
    unknown = model is None and (estimate.unnamed.lines or estimate.other_models.lines)
    known = [cost for cost in each.values() if cost is not None]
    return Costs(models=each, total=None if unknown or len(known) < len(each) else sum(known), unseen=unseen)


def execution_of(gateway: Gateway, provider: str, execution: str | None) -> str:
    """Who runs a batch at the provider: `provider` or `gateway`."""
    native = gateway.accounts.abilities(provider).support("batch_create") is Support.NATIVE
    return PROVIDER if native and execution != GATEWAY else GATEWAY


def to_reserve(
    gateway: Gateway,
    caller: Caller,
    key: str | None,
    *,
    size: int,
    provider: str,
    model: str | None,
    execution: str,
) -> int | None:
    """The most that a new batch on the input can cost; None, and nothing is read, when no budget applies.

    `key` is the input's in the blob store, of `size` bytes; None for an input that cannot be used. Raises
    InvalidRequestError when a price is unknown, or when the price is not 0 and the estimate is (a cost that cannot be
    estimated cannot be held to a budget), and RateLimitedError.
    """
    if not budgets.applies(gateway, caller):
        return None
    if key is None:
        return None  # the batch is refused for its input
    estimate = batch_estimate.read_for(gateway, caller, key, size=size)
    if model is None and estimate.other_models.lines:
        text = f"A batch under a budget may name at most {batch_estimate.MAX_MODELS} models; split the input."
        raise InvalidRequestError(text, param="model")
    # Lines without any model never run: planning fails the batch.
    estimate.unnamed = estimate.unnamed if model is not None else Sums()
    priced = costs(gateway, estimate, provider=provider, model=model, execution=execution)
    if priced.total is None:
        raise _unknown(provider, [name for name, cost in priced.models.items() if cost is None])
    if priced.unseen:
        raise _nothing_to_reserve(provider, priced.unseen)
    _check_fallbacks(gateway, estimate, provider=provider, model=model, execution=execution)
    return priced.total


def _check_fallbacks(gateway: Gateway, estimate: Estimate, *, provider: str, model: str | None, execution: str) -> None:
    """Raises InvalidRequestError if a model that may serve a line instead of its own costs more, or has no price.

    A line is charged at the price of its own model, whichever answers.
    """
    if len(estimate.fallbacks) >= batch_estimate.MAX_FALLBACKS:
        text = f"A batch under a budget may name at most {batch_estimate.MAX_FALLBACKS} other models; split the input."
        raise InvalidRequestError(text, param="model")
    with gateway.database.read() as connection:
        now = price_rows.clock(connection)
        for (own, other), place in estimate.fallbacks.items():
            named = model or own
            if named is None or named == other:
                continue
            find = partial(prices.find, connection, provider=provider, at_ms=now)
            ours, theirs = find(model=named), find(model=other)
            if theirs is None:
                raise _unknown(provider, [other])
            if ours is None or not ours.covers(theirs, execution):
                raise _dearer(named, other, place)


def _dearer(own: str, other: str, place: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{place} names {other!r:.100}, which may serve the line instead of {own!r:.100} and costs more, and a budget "
        "applies to this key. Make the dearest model the line's own, or leave the other out.",
        param="model",
        code=DEARER,
    )


def _priced(
    gateway: Gateway, models: Mapping[str, Sums], *, provider: str, execution: str
) -> tuple[dict[str, int | None], list[str]]:
    default = gateway.settings.default_output_tokens
    costs: dict[str, int | None] = {}
    unseen = []
    with gateway.database.read() as connection:
        now = price_rows.clock(connection)
        for model, sums in models.items():
            price = prices.find(connection, provider=provider, model=model, at_ms=now)
            costs[model] = _most(price, sums, output=sums.output_tokens(default), execution=execution)
            if price is not None and costs[model] == 0 and sums.lines and not price.is_free_for(execution):
                unseen.append(model)
    return costs, unseen


def _most(price: prices.Price | None, sums: Sums, *, output: int, execution: str) -> int | None:
    """What the tokens cost, with cached input if that costs more."""
    used = Tokens(input=sums.input_tokens, output=output)
    uncached = prices.cost_of(price, used, execution=execution)
    cached = prices.cost_of(price, replace(used, cached=sums.input_tokens), execution=execution)
    return None if uncached is None or cached is None else max(uncached, cached)


def _unknown(provider: str, models: list[str]) -> InvalidRequestError:
    named = ", ".join(f"{model!r:.100}" for model in models[:MAX_NAMED])
    return InvalidRequestError(
        f"model: there is no price for {named} at {provider}, and a budget applies to this key. An operator can set "
        f"one with `batchgate prices set {provider} MODEL --input ... --output ...`.",
        param="model",
        code=UNKNOWN_PRICE,
    )


def _nothing_to_reserve(provider: str, models: Sequence[str]) -> InvalidRequestError:
    named = ", ".join(f"{model!r:.100}" for model in models[:MAX_NAMED])
    return InvalidRequestError(
        f"model: {named} at {provider} has a price, but not for what these lines show, so nothing can be reserved, and "
        f"a budget applies to this key. An operator can complete the price with `batchgate prices set {provider} "
        "MODEL --input ... --output ...`.",
        param="model",
        code=NOTHING_TO_RESERVE,
    )
