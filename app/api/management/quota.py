"""What a key may know about itself: its limits, its budgets, and what it has used."""

from flask import Blueprint, Response

from app.api.context import caller, gateway
from app.api.management.key_wire import wire, wire_of_budget
from app.api.management.usage import wire as wire_usage
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
    """The key that asks: what it may, and what it and its project have used."""
    asks = caller()
    key = keys.retrieve(gateway(), asks.name or "")
    shown = wire(key)
    found = [budget for budget in budgets.list_(gateway(), project=asks.project) if budget.key in (None, key.public_id)]
    return answer(
        {
            **{name: shown[name] for name in SHOWN},
            "object": "virtual_key.quota",
            "project": asks.project,
            "project_limits": dict(asks.project_limits),
            "limits_used": limits.in_use(gateway(), asks),
            "budgets": [wire_of_budget(budget) for budget in found],
            "usage": wire_usage(usage.of_key(gateway(), asks.key_id, project_id=asks.project_id)),
        }
    )
