"""Prices, budgets and usage in answers of the management API."""

from marshmallow import fields

from app.schemas.answers.base import (
    Answer,
    Page,
    dollars,
    extra,
    flag,
    instant,
    kind,
    listed,
    number,
    real,
    text,
)
from app.schemas.base import about
from app.schemas.management import GROUPS

PERIODS = ("day", "month", "total")


class Price(Answer):
    """A price, in dollars for a million tokens."""

    id = number("The id.", 12)
    object = kind("price")
    provider = text("The provider.", "openai")
    model = text("The model.", "gpt-4o-mini")
    input = dollars("Input tokens; null if unknown.", "0.15", null=True)
    cached = dollars("Cached input tokens.", "0.075", null=True)
    output = dollars("Output tokens.", "0.60", null=True)
    batch_percent = real("What a batch at the provider costs, in percent of that.", 50)
    cached_batch_percent = real("The same, for cached input tokens.", 50, null=True)
    valid_from = instant("When it begins.")
    valid_until = instant("When it ends; null for never.", null=True)
    source = text("Where it comes from.", "operator")
    extra_fields = extra(optional=True)


class PriceList(Page):
    """A page of prices."""

    data = listed(Price, "The prices.")


class Budget(Answer):
    """What batches of a project or key may cost in a period."""

    id = number("The id.", 3)
    object = kind("budget")
    project = text("The project.", "team-a")
    key = text("The key; null for the whole project.", null=True)
    period = text("What the limit is for.", "month", words=PERIODS)
    reset_duration = text("The period in Bifrost's words; null for all time.", "1M", null=True)
    max_limit = dollars("The limit.", "100")
    current_usage = dollars("Spent in the period.")
    reserved = dollars("Reserved for batches that run.")
    left = dollars("What is left.")
    period_start = instant("When the period began.", null=True)
    created_at = instant("When the budget was set.")
    extra_fields = extra(optional=True)


class BudgetList(Page):
    """A page of budgets."""

    data = listed(Budget, "The budgets.")


class BudgetDeleted(Answer):
    """A budget that was removed."""

    object = kind("budget.deleted")
    project = text("The project.", "team-a")
    key = text("The key; null for the whole project.", null=True)
    period = text("The period.", "month", words=PERIODS)
    deleted = flag("Always true.", True)
    extra_fields = extra()


class UsageSums(Answer):
    """Sums of the ledger."""

    name = text("The name of the group.", "gpt-4o-mini", null=True)
    project = text("The project of the group.", "team-a", null=True)
    lines = number("Lines.", 100)
    input_tokens = number("Tokens of the input.", 1200)
    cached_tokens = number("Of these, tokens that the provider had cached.", 0)
    output_tokens = number("Tokens of the output.", 3400)
    reasoning_tokens = number("Of these, tokens of reasoning.", 0)
    cost = dollars("The cost, as far as it is known.")
    unknown_costs = number("Entries whose cost is unknown.", 0)


class Usage(UsageSums):
    id = text("The id of the group.", "gpt-4o-mini")
    object = kind("usage")


class UsageList(Page):
    """Usage in a period, by group."""

    data = listed(Usage, "The groups.")
    group_by = text("What sums are made for.", "model", words=GROUPS)
    begins = fields.Integer(data_key="from", metadata=about("When the period begins. Unix seconds.", 1767225600))
    ends = fields.Integer(data_key="to", metadata=about("When the period ends. Unix seconds.", 1769904000))
