"""Routes of usage: sums of the ledger."""

from typing import Any

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.request import query, seconds
from app.api.management.wire import usage_wire
from app.api.operation import list_answer, operation
from app.schemas.management import ListUsage
from app.services.money import usage

blueprint = Blueprint("usage", __name__)


@blueprint.get("/usage")
@operation("usage_list", ListUsage)
def list_() -> Response:
    """Usage in a period, summed by key, project, provider, model or day."""
    filters = query(ListUsage)
    group_by = filters.pop("group_by")
    page = usage.by(gateway(), group_by, **filters)
    period: dict[str, Any] = {"from": seconds(page.begins), "to": seconds(page.ends)}
    return list_answer(
        [{"id": item.id, "object": "usage", **usage_wire(item)} for item in page.items],
        has_more=page.has_more,
        group_by=group_by,
        **period,
    )
