"""What a batch input can cost, in picodollars: the estimate of its tokens at the prices of now."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.connectors.contract.abilities import Support
from app.data.batches import batches as batch_rows
from app.data.money import prices as price_rows
from app.engine.outcomes import Tokens
from app.errors import InvalidRequestError
from app.services.accounts import choose
from app.services.batches import estimate as batch_estimate
from app.services.batches.estimate import Estimate, Sums
from app.services.batches.inline_input import InlineInput
from app.services.files import files
from app.services.gateway import Caller, Gateway
from app.services.money import budgets, prices

PROVIDER, GATEWAY = "provider", "gateway"
UNKNOWN_PRICE = "price_unknown"
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Costs:
    """The most that lines can cost, for each model, in picodollars; None is unknown. `total` is of all lines."""

    models: Mapping[str, int | None]
    total: int | None


@dataclass(frozen=True, slots=True)
class FileEstimate:
    """What a batch on a file would take at a provider, run as `execution` says."""

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
    """What a batch on a file of the project can cost where it would run. Raises NotFoundError, InvalidRequestError."""
    file, found = batch_estimate.of_file(gateway, caller, file_id, provider=provider)
    where = file.home
    if model is not None:
        choice = choose.choose(gateway, caller, explicit=provider, model=model)
        where, model = choice.provider, choice.model or model
        found = Estimate(lines=found.lines, invalid_lines=found.invalid_lines, models={model: found.total})
    runs = execution_of(gateway, where, execution)
    reckoned = costs(gateway, found, provider=where, model=model, execution=runs)
    return FileEstimate(file.public_id, where, runs, found, reckoned, gateway.settings.default_output_tokens)


def costs(gateway: Gateway, found: Estimate, *, provider: str, model: str | None, execution: str) -> Costs:
    """What an input can cost at a provider; `model` is the one of the batch, whatever the lines say."""
    sums = {model: found.total} if model is not None else found.models
    each = _priced(gateway, sums, provider=provider, execution=execution)
    unknown = model is None and (found.unnamed.lines or found.other_models.lines)
    known = [cost for cost in each.values() if cost is not None]
    return Costs(models=each, total=None if unknown or len(known) < len(each) else sum(known))


def execution_of(gateway: Gateway, provider: str, wanted: str | None) -> str:
    """Who runs a batch at the provider: `provider` or `gateway`."""
    native = gateway.accounts.abilities(provider).support("batch_create") is Support.NATIVE
    return PROVIDER if native and wanted != GATEWAY else GATEWAY


def to_reserve(
    gateway: Gateway,
    caller: Caller,
    source: str | InlineInput,
    *,
    provider: str,
    model: str | None,
    execution: str,
) -> int | None:
    """What a new batch on the input can cost at most; None when no budget asks, so that nothing is read.

    `source` is the id of a file, or inline requests that are sealed. Raises InvalidRequestError when a price is
    unknown: what can't be counted can't be held to a budget.
    """
    if not budgets.applies(gateway, caller):
        return None
    key = source.blob.key if isinstance(source, InlineInput) else _key(gateway, caller, source)
    if key is None:
        return None  # there is no such input, and the batch is refused for it
    found = batch_estimate.read(gateway, key)
    if model is None and found.other_models.lines:
        text = f"A batch under a budget names at most {batch_estimate.MOST_MODELS} models; split the input."
        raise InvalidRequestError(text, param="model")
    # Lines without any model never run: planning fails the batch.
    found.unnamed = found.unnamed if model is not None else Sums()
    reckoned = costs(gateway, found, provider=provider, model=model, execution=execution)
    if reckoned.total is None:
        raise _unknown(provider, [name for name, cost in reckoned.models.items() if cost is None])
    return reckoned.total


def _key(gateway: Gateway, caller: Caller, file_id: str) -> str | None:
    if not file_id.isprintable():
        return None
    with gateway.database.read() as connection:
        file = batch_rows.find_input(connection, project_id=caller.project_id, public_id=file_id)
    return file.key if file is not None and file.purpose == files.BATCH else None


def _priced(gateway: Gateway, models: Mapping[str, Sums], *, provider: str, execution: str) -> dict[str, int | None]:
    default = gateway.settings.default_output_tokens
    with gateway.database.read() as connection:
        now = price_rows.clock(connection)
        return {
            model: prices.cost_of(
                prices.find(connection, provider=provider, model=model, at_ms=now),
                Tokens(input=sums.input_tokens, output=sums.output_tokens(default)),
                execution=execution,
            )
            for model, sums in models.items()
        }


def _unknown(provider: str, models: list[str]) -> InvalidRequestError:
    named = ", ".join(f"{model!r:.100}" for model in models[:MOST_NAMED])
    return InvalidRequestError(
        f"model: there is no price for {named} at {provider}, and a budget applies to this key. An operator sets "
        f"one with `batchgate prices set {provider} MODEL --input ... --output ...`.",
        param="model",
        code=UNKNOWN_PRICE,
    )
