"""Schemas of requests under `/api`, queries included: a typing error in the name of a filter or limit would silently
mean none."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.lib import money
from app.schemas.base import BodySchema, Text, WholeNumber, one_of

NAME_LENGTH = 64
ID_LENGTH = 128
MODEL_LENGTH = 256
DESCRIPTION_LENGTH = 256
MAX_ENTRIES = 200
MAX_PAGE = 1000
MAX_INSTANT_S = 253_402_300_799  # the last second of the year 9999
MAX_NUMBER = 2**53
MAX_DOLLARS = 4_000_000
# Bifrost's reset durations of budgets, and our periods. A budget without a duration is a total.
PERIODS = {"1d": "day", "1M": "month"}
GROUPS = ("key", "project", "provider", "model", "day")


class Flag(fields.Boolean):
    """true or false, as text in a query. Anything else, such as 1 or "yes", is rejected."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        flag = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        if not isinstance(flag, bool):
            raise ValidationError(f"must be true or false, not {value!r:.60}.")
        return flag


class Instant(fields.Field[int]):
    """Unix seconds, a date (midnight UTC) or an RFC 3339 time with its zone; loads Unix milliseconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        seconds = _seconds(text) if text.isascii() else None
        if seconds is None or not 0 <= seconds <= MAX_INSTANT_S:
            hint = "must be Unix seconds, a date such as 2026-01-31 or a time such as 2026-01-31T12:00:00Z"
            raise ValidationError(f"{hint}, not {value!r:.60}.")
        return round(seconds * 1000)


class Dollars(fields.Field[int]):
    """Dollars as text or a number, at most four million; loads whole picodollars."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > 40:
            raise ValidationError(f'must be dollars such as "12.50", not {value!r:.60}.')
        try:
            picodollars = money.picodollars(str(value))
        except ValueError as error:
            raise ValidationError(f"{error}.") from error
        if picodollars > MAX_DOLLARS * money.PICODOLLARS:
            raise ValidationError(f"must be at most {MAX_DOLLARS} dollars.")
        return picodollars


def texts(*, max_length: int) -> fields.List[Any]:
    """A list of strings, or null."""
    size = validate.Length(max=MAX_ENTRIES, error=f"must have at most {MAX_ENTRIES} entries.")
    return fields.List(Text(max_length=max_length), allow_none=True, validate=size)


def limits() -> fields.Dict:
    """An object that maps names of limits to numbers. The service checks the names."""
    number = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True)
    return fields.Dict(keys=Text(max_length=NAME_LENGTH), values=number, allow_none=True)


class Limited(BodySchema):
    limit = WholeNumber(min=1, max=MAX_PAGE, load_default=100)


class Page(Limited):
    after = Text(load_default=None, max_length=MODEL_LENGTH + NAME_LENGTH + 1)


class Nothing(BodySchema):
    """An empty or missing body."""


class ListProjects(Page):
    archived = Flag(load_default=None)


class ChangeProject(BodySchema):
    description = Text(allow_none=True, max_length=DESCRIPTION_LENGTH)
    default_provider = Text(allow_none=True, max_length=NAME_LENGTH)
    limits = limits()
    archived = Flag()


class CreateProject(BodySchema):
    name = Text(required=True, max_length=NAME_LENGTH)
    description = Text(allow_none=True, max_length=DESCRIPTION_LENGTH)
    default_provider = Text(allow_none=True, max_length=NAME_LENGTH)
    limits = limits()


class ProviderConfig(BodySchema):
    """Bifrost's provider config. An `allowed_models` that is empty or contains `*` allows all of its models."""

    provider = Text(required=True, max_length=NAME_LENGTH)
    allowed_models = texts(max_length=MODEL_LENGTH)


class KeyBudget(BodySchema):
    """Bifrost's budget: dollars, and how often it resets (`1d`, `1M`, or null for never)."""

    max_limit = Dollars(required=True)
    reset_duration = Text(allow_none=True, load_default=None, validate=one_of(*PERIODS))


class RateLimit(BodySchema):
    """Bifrost's rate limit, for what the gateway counts: requests a minute and tokens a day."""

    request_max_limit = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True)
    request_reset_duration = Text(allow_none=True, validate=one_of("1m"))
    token_max_limit = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True)
    token_reset_duration = Text(allow_none=True, validate=one_of("1d"))


class ChangeKey(BodySchema):
    name = Text(max_length=NAME_LENGTH)
    description = Text(allow_none=True, max_length=DESCRIPTION_LENGTH)
    role = Text(max_length=16)
    accounts = texts(max_length=ID_LENGTH)
    providers = texts(max_length=NAME_LENGTH)
    models = texts(max_length=MODEL_LENGTH)
    provider_configs = fields.List(fields.Nested(ProviderConfig), allow_none=True)
    endpoints = texts(max_length=NAME_LENGTH)
    networks = texts(max_length=NAME_LENGTH)
    limits = limits()
    rate_limit = fields.Nested(RateLimit, allow_none=True)
    budget = fields.Nested(KeyBudget)
    expires_at = Instant(allow_none=True)
    is_active = Flag()

    @validates_schema
    def _no_conflicts(self, data: Mapping[str, Any], **_: Any) -> None:
        if "provider_configs" in data and ("providers" in data or "models" in data):
            text = "sets providers and models: send either it or them."
            raise ValidationError(text, field_name="provider_configs")
        if "rate_limit" in data and "limits" in data:
            raise ValidationError("sets limits: send either rate_limit or limits.", field_name="rate_limit")
        if data.get("is_active") is False and "expires_at" in data:
            raise ValidationError(
                "false expires the key now: omit it when you send expires_at.", field_name="is_active"
            )


class CreateKey(ChangeKey):
    name = Text(required=True, max_length=NAME_LENGTH)
    project = Text(required=True, max_length=NAME_LENGTH)
    budget = fields.Nested(KeyBudget, allow_none=True)


class ListKeys(Page):
    project = Text(load_default=None, max_length=NAME_LENGTH)


class RotateKey(BodySchema):
    grace_seconds = WholeNumber(min=0, max=30 * 86_400, load_default=0)


class RevokeKey(BodySchema):
    stop = Flag(load_default=False)


class ChangeAccount(BodySchema):
    weight = WholeNumber(min=1, max=1000)
    max_concurrency = WholeNumber(min=1, max=100_000)
    limits = limits()
    disabled = Flag()


class ListPauses(Limited):
    after = WholeNumber(min=0, max=2**63 - 1, load_default=0)


class EndPauses(BodySchema):
    account = Text(required=True, max_length=2 * NAME_LENGTH + 1)
    model = Text(load_default=None, max_length=MODEL_LENGTH)


class ListPrices(Limited):
    after = WholeNumber(min=0, max=2**63 - 1, load_default=0)
    provider = Text(load_default=None, max_length=NAME_LENGTH)
    model = Text(load_default=None, max_length=MODEL_LENGTH)
    ended = Flag(load_default=False)


class SetPrice(BodySchema):
    """A price in dollars for a million tokens. The service validates the rates, as in files of prices."""

    provider = Text(required=True, max_length=NAME_LENGTH)
    model = Text(required=True, max_length=MODEL_LENGTH)
    input = fields.Raw(required=True, allow_none=True)
    cached = fields.Raw(allow_none=True)
    output = fields.Raw(allow_none=True)
    batch_percent = fields.Raw()
    cached_batch_percent = fields.Raw(allow_none=True)
    valid_from = Instant(allow_none=True, load_default=None)


class ListBudgets(Limited):
    after = WholeNumber(min=0, max=2**63 - 1, load_default=0)
    project = Text(load_default=None, max_length=NAME_LENGTH)
    key = Text(load_default=None, max_length=ID_LENGTH)


class NameBudget(BodySchema):
    project = Text(required=True, max_length=NAME_LENGTH)
    key = Text(allow_none=True, load_default=None, max_length=ID_LENGTH)
    period = Text(required=True, validate=one_of("day", "month", "total"))


class SetBudget(NameBudget):
    max_limit = Dollars(required=True)


class ListUsage(Page):
    group_by = Text(load_default="project", validate=one_of(*GROUPS))
    begins = Instant(data_key="from", load_default=None)
    ends = Instant(data_key="to", load_default=None)
    project = Text(load_default=None, max_length=NAME_LENGTH)
    key = Text(load_default=None, max_length=ID_LENGTH)


class ListEvents(Limited):
    after = WholeNumber(min=0, max=2**63 - 1, load_default=None)
    order = Text(load_default="desc", validate=one_of("asc", "desc"))
    project = Text(load_default=None, max_length=NAME_LENGTH)
    operation = Text(load_default=None, max_length=NAME_LENGTH)
    outcome = Text(load_default=None, max_length=16)
    since = Instant(load_default=None)


def _seconds(text: str) -> float | None:
    if text.isdigit() and len(text) <= 12:
        return int(text)
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else instant.timestamp()
    except (ValueError, OverflowError):
        return None
