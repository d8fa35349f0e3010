"""What was used and what it cost."""

from typing import Any

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.asking import query, seconds
from app.api.operation import list_answer, operation
from app.lib import money
from app.schemas.management import ListUsage
from app.services.money import usage
from app.services.money.usage import Usage

blueprint = Blueprint("usage", __name__)


@blueprint.get("/usage")
@operation("usage_list")
def list_() -> Response:
    """Sums by key, project, provider, model or day, of a period."""
    asked = query(ListUsage)
    group_by = asked.pop("group_by")
    page = usage.by(gateway(), group_by, **asked)
    period: dict[str, Any] = {"from": seconds(page.begins), "to": seconds(page.ends)}
    return list_answer(
        [{"id": item.id, "object": "usage", **wire(item)} for item in page.items],
        has_more=page.has_more,
        group_by=group_by,
        **period,
    )


def wire(item: Usage) -> dict[str, Any]:
    """The sums of a group. `cost` is dollars of what has a known cost; `unknown_costs` counts what has none."""
    return {
        "name": item.name,
        "project": item.project,
        "lines": item.lines,
        "input_tokens": item.input_tokens,
        "cached_tokens": item.cached_tokens,
        "output_tokens": item.output_tokens,
        "reasoning_tokens": item.reasoning_tokens,
        "cost": money.dollars(item.cost),
        "unknown_costs": item.unknown,
    }
