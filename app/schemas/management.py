"""Schemas of requests under `/api`, queries included: a typing error in the name of a filter or limit would silently
mean none."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.lib import money
from app.lib.hours import DAILY
from app.schemas.base import BodySchema, Text, WholeNumber, about, one_of

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


class Rate(fields.Raw):
    """Dollars for a million tokens, as text or a number. The service checks it, as in files of prices."""


class Percent(fields.Raw):
    """A whole number of percent. The service checks it, as in files of prices."""


def texts(*, max_length: int, **kwargs: Any) -> fields.List[Any]:
    """A list of strings, or null."""
    size = validate.Length(max=MAX_ENTRIES, error=f"must have at most {MAX_ENTRIES} entries.")
    return fields.List(Text(max_length=max_length), allow_none=True, validate=size, **kwargs)


def limits(**kwargs: Any) -> fields.Dict:
    """An object that maps names of limits to numbers. The service checks the names."""
    number = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True)
    return fields.Dict(keys=Text(max_length=NAME_LENGTH), values=number, allow_none=True, **kwargs)


class Limited(BodySchema):
    limit = WholeNumber(min=1, max=MAX_PAGE, load_default=100, metadata=about("How many to return at most."))


class Page(Limited):
    after = Text(
        load_default=None,
        max_length=MODEL_LENGTH + NAME_LENGTH + 1,
        metadata=about("The id of the last object of the page before: the list goes on after it."),
    )


class Nothing(BodySchema):
    """An empty or missing body."""


class ListProjects(Page):
    archived = Flag(
        load_default=None, metadata=about("Only projects that are archived, or only those that are not.", False)
    )


class ChangeProject(BodySchema):
    description = Text(
        allow_none=True,
        max_length=DESCRIPTION_LENGTH,
        metadata=about("What the project is for.", "Nightly evaluations"),
    )
    default_provider = Text(
        allow_none=True, max_length=NAME_LENGTH, metadata=about("The provider of requests that name none.", "openai")
    )
    limits = limits(metadata=about("Limits by name; null removes one. See docs/keys.md.", {"requests_per_minute": 600}))
    archived = Flag(metadata=about("`false` restores an archived project.", False))


class CreateProject(BodySchema):
    name = Text(required=True, max_length=NAME_LENGTH, metadata=about("The name, which is also the id.", "team-a"))
    description = Text(
        allow_none=True,
        max_length=DESCRIPTION_LENGTH,
        metadata=about("What the project is for.", "Nightly evaluations"),
    )
    default_provider = Text(
        allow_none=True, max_length=NAME_LENGTH, metadata=about("The provider of requests that name none.", "openai")
    )
    limits = limits(metadata=about("Limits by name. See docs/keys.md.", {"requests_per_minute": 600}))


class ProviderConfig(BodySchema):
    """Bifrost's provider config. An `allowed_models` that is empty or contains `*` allows all of its models."""

    provider = Text(required=True, max_length=NAME_LENGTH, metadata=about("A provider that the key may use.", "openai"))
    allowed_models = texts(
        max_length=MODEL_LENGTH,
        metadata=about("Its models that the key may use; none or `*` for all.", ["gpt-4o-mini"]),
    )


class KeyBudget(BodySchema):
    """Bifrost's budget: dollars, and how often it resets (`1d`, `1M`, or null for never)."""

    max_limit = Dollars(required=True, metadata=about("Dollars that batches may cost in a period.", "12.50"))
    reset_duration = Text(
        allow_none=True,
        load_default=None,
        validate=one_of(*PERIODS),
        metadata=about("The period: `1d`, `1M`, or null for all time.", "1M"),
    )


class RateLimit(BodySchema):
    """Bifrost's rate limit, for what the gateway counts: requests a minute and tokens a day."""

    request_max_limit = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True, metadata=about("Requests a minute.", 600))
    request_reset_duration = Text(
        allow_none=True, validate=one_of("1m"), metadata=about("The period of the limit of requests.", "1m")
    )
    token_max_limit = WholeNumber(min=0, max=MAX_NUMBER, allow_none=True, metadata=about("Tokens a day.", 1000000))
    token_reset_duration = Text(
        allow_none=True, validate=one_of("1d"), metadata=about("The period of the limit of tokens.", "1d")
    )


class ChangeKey(BodySchema):
    name = Text(max_length=NAME_LENGTH, metadata=about("The name of the key.", "ci"))
    description = Text(
        allow_none=True, max_length=DESCRIPTION_LENGTH, metadata=about("What the key is for.", "Continuous integration")
    )
    role = Text(max_length=16, metadata=about("`viewer`, `member` or `admin`.", "member"))
    accounts = texts(
        max_length=ID_LENGTH, metadata=about("Ids of the accounts that the key may use; null for all.", ["openai/main"])
    )
    providers = texts(
        max_length=NAME_LENGTH, metadata=about("The providers that the key may use; null for all.", ["openai"])
    )
    models = texts(
        max_length=MODEL_LENGTH,
        metadata=about("The models that the key may use; null for all.", ["openai/gpt-4o-mini"]),
    )
    provider_configs = fields.List(
        fields.Nested(ProviderConfig),
        allow_none=True,
        metadata=about("Providers with their models, as Bifrost has them; sets `providers` and `models`."),
    )
    endpoints = texts(
        max_length=NAME_LENGTH,
        metadata=about("The endpoints that lines may have; null for all.", ["/v1/chat/completions"]),
    )
    networks = texts(
        max_length=NAME_LENGTH,
        metadata=about("The networks that the key may be used from; null for all.", ["10.0.0.0/8"]),
    )
    limits = limits(metadata=about("Limits by name; null removes one. See docs/keys.md.", {"requests_per_minute": 600}))
    rate_limit = fields.Nested(
        RateLimit, allow_none=True, metadata=about("Bifrost's limits, of those that the gateway counts.")
    )
    budget = fields.Nested(KeyBudget, metadata=about("What the key's batches may cost."))
    expires_at = Instant(allow_none=True, metadata=about("When the key expires; null for never.", 1767225600))
    is_active = Flag(metadata=about("`false` expires the key now, `true` removes its expiry.", True))

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
    name = Text(required=True, max_length=NAME_LENGTH, metadata=about("The name of the key.", "ci"))
    project = Text(
        required=True, max_length=NAME_LENGTH, metadata=about("The project that the key belongs to.", "team-a")
    )
    budget = fields.Nested(KeyBudget, allow_none=True, metadata=about("What the key's batches may cost."))


class ListKeys(Page):
    project = Text(load_default=None, max_length=NAME_LENGTH, metadata=about("Only keys of this project.", "team-a"))


class RotateKey(BodySchema):
    grace_seconds = WholeNumber(
        min=0, max=30 * 86_400, load_default=0, metadata=about("How long the old secret still works.", 3600)
    )


class RevokeKey(BodySchema):
    stop = Flag(load_default=False, metadata=about("Whether the key's running batches are cancelled, too.", False))


class ChangeAccount(BodySchema):
    weight = WholeNumber(
        min=1, max=1000, metadata=about("The share of new batches, against other accounts of the provider.", 2)
    )
    max_concurrency = WholeNumber(min=1, max=100_000, metadata=about("The most lines in flight at once.", 64))
    limits = limits(metadata=about("Limits by name; null removes one.", {"open_batches": 20}))
    disabled = Flag(metadata=about("Whether nothing new is sent to the account.", False))


class OffPeakWindow(BodySchema):
    """Hours such as 16:30 to 00:30; the service reads them, as it does for the command line."""

    model = Text(
        allow_none=True,
        load_default=None,
        max_length=MODEL_LENGTH,
        metadata=about("The model that the hours are for; all of the account's unless it is given.", "deepseek-chat"),
    )
    begins = Text(required=True, max_length=5, metadata=about("When the hours begin.", "16:30"))
    ends = Text(required=True, max_length=5, metadata=about("When they end; the next day if that is earlier.", "00:30"))
    zone = Text(load_default="UTC", max_length=64, metadata=about("The time zone of both.", "Asia/Shanghai"))
    days = Text(load_default=DAILY, max_length=32, metadata=about("The days on which they begin.", "mon,tue"))
    percent = WholeNumber(
        min=0, max=100, load_default=100, metadata=about("What is paid then, in percent of the price.", 50)
    )


class SetOffPeak(BodySchema):
    windows = fields.List(
        fields.Nested(OffPeakWindow), required=True, metadata=about("All off-peak hours of the account.")
    )


class ListPauses(Limited):
    after = WholeNumber(
        min=0, max=2**63 - 1, load_default=0, metadata=about("The id of the last pause of the page before.")
    )


class EndPauses(BodySchema):
    account = Text(
        required=True, max_length=2 * NAME_LENGTH + 1, metadata=about("The account, as `provider/name`.", "openai/main")
    )
    model = Text(
        load_default=None, max_length=MODEL_LENGTH, metadata=about("Only the pause of this model.", "gpt-4o-mini")
    )


class ListPrices(Limited):
    after = WholeNumber(
        min=0, max=2**63 - 1, load_default=0, metadata=about("The id of the last price of the page before.")
    )
    provider = Text(
        load_default=None, max_length=NAME_LENGTH, metadata=about("Only prices of this provider.", "openai")
    )
    model = Text(
        load_default=None, max_length=MODEL_LENGTH, metadata=about("Only prices of this model.", "gpt-4o-mini")
    )
    ended = Flag(load_default=False, metadata=about("Whether prices that have ended are listed, too.", False))


class SetPrice(BodySchema):
    """A price in dollars for a million tokens. The service validates the rates, as in files of prices."""

    provider = Text(required=True, max_length=NAME_LENGTH, metadata=about("The provider.", "openai"))
    model = Text(required=True, max_length=MODEL_LENGTH, metadata=about("The model.", "gpt-4o-mini"))
    input = Rate(
        required=True, allow_none=True, metadata=about("Dollars for a million input tokens; null if unknown.", "0.15")
    )
    cached = Rate(allow_none=True, metadata=about("Dollars for a million cached input tokens.", "0.075"))
    output = Rate(allow_none=True, metadata=about("Dollars for a million output tokens.", "0.60"))
    batch_percent = Percent(metadata=about("What a batch at the provider costs, in percent of that.", 50))
    cached_batch_percent = Percent(allow_none=True, metadata=about("The same, for cached input tokens.", 50))
    valid_from = Instant(
        allow_none=True, load_default=None, metadata=about("When the price begins; now unless it is given.", 1767225600)
    )


class ListBudgets(Limited):
    after = WholeNumber(
        min=0, max=2**63 - 1, load_default=0, metadata=about("The id of the last budget of the page before.")
    )
    project = Text(
        load_default=None,
        max_length=NAME_LENGTH,
        metadata=about("Only budgets of this project and its keys.", "team-a"),
    )
    key = Text(load_default=None, max_length=ID_LENGTH, metadata=about("Only budgets of this key.", "3f6c0f5a9b2e4d71"))


class NameBudget(BodySchema):
    project = Text(required=True, max_length=NAME_LENGTH, metadata=about("The project.", "team-a"))
    key = Text(
        allow_none=True,
        load_default=None,
        max_length=ID_LENGTH,
        metadata=about("The key; null for the whole project.", "3f6c0f5a9b2e4d71"),
    )
    period = Text(
        required=True, validate=one_of("day", "month", "total"), metadata=about("What the limit is for.", "month")
    )


class SetBudget(NameBudget):
    max_limit = Dollars(required=True, metadata=about("Dollars that batches may cost in a period.", "100"))


class ListUsage(Page):
    group_by = Text(
        load_default="project", validate=one_of(*GROUPS), metadata=about("What sums are made for.", "model")
    )
    begins = Instant(
        data_key="from",
        load_default=None,
        metadata=about("The beginning of the period; 30 days ago unless it is given.", "2026-01-01"),
    )
    ends = Instant(
        data_key="to", load_default=None, metadata=about("The end of the period; now unless it is given.", "2026-02-01")
    )
    project = Text(load_default=None, max_length=NAME_LENGTH, metadata=about("Only usage of this project.", "team-a"))
    key = Text(load_default=None, max_length=ID_LENGTH, metadata=about("Only usage of this key.", "3f6c0f5a9b2e4d71"))


class ListEvents(Limited):
    after = WholeNumber(
        min=0, max=2**63 - 1, load_default=None, metadata=about("The id of the last event of the page before.")
    )
    order = Text(
        load_default="desc",
        validate=one_of("asc", "desc"),
        metadata=about("By time of creation: `asc` from the oldest, `desc` from the newest."),
    )
    project = Text(load_default=None, max_length=NAME_LENGTH, metadata=about("Only events of this project.", "team-a"))
    operation = Text(
        load_default=None, max_length=NAME_LENGTH, metadata=about("Only events of this operation.", "batch_create")
    )
    outcome = Text(
        load_default=None,
        max_length=16,
        metadata=about("Only events that ended so: `done`, `refused` or `failed`.", "refused"),
    )
    since = Instant(load_default=None, metadata=about("Only events from this instant on.", "2026-01-31T12:00:00Z"))


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
