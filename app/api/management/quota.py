"""The route that tells a key about itself: its limits, its budgets, and what it has used."""

from flask import Blueprint, Response

from app.api.context import caller, gateway
from app.api.management.key_wire import key_wire
from app.api.management.wire import budget_wire, usage_wire
from app.api.operation import answer, operation
from app.services.access import keys
from app.services.limits import limits
from app.services.money import budgets, usage

blueprint = Blueprint("quota", __name__)
SHOWN = ("id", "name", "role", "kind", "is_active", "limits", "rate_limit", "provider_configs", "providers", "models",
         "endpoints", "accounts", "expires_at")  # fmt: skip


@blueprint.get("/governance/virtual-keys/quota")
@operation("key_quota")
def retrieve() -> Response:
    """The key that sends the request: what it may use, and what it and its project have used."""
    holder = caller()
    key = keys.retrieve(gateway(), holder.name or "")
    shown = key_wire(key)
    listed = budgets.list_(gateway(), project=holder.project)
    applying = [budget for budget in listed if budget.key in (None, key.public_id)]
    return answer(
        {
            **{name: shown[name] for name in SHOWN},
            "object": "virtual_key.quota",
            "project": holder.project,
            "project_limits": dict(holder.project_limits),
            "limits_used": limits.in_use(gateway(), holder),
            "budgets": [budget_wire(budget) for budget in applying],
            "usage": usage_wire(usage.of_key(gateway(), holder.key_id, project_id=holder.project_id)),
        }
    )
