"""Budgets: how much the batches of a project, or of one key of it, may cost in a period."""

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.asking import actor, body, query
from app.api.management.key_wire import wire_of_budget
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ListBudgets, NameBudget, SetBudget
from app.services.money import budgets

blueprint = Blueprint("budgets", __name__)


@blueprint.get("/budgets")
@operation("budget_list")
def list_() -> Response:
    """Budgets, by id: all, those of a project and its keys, or those of one key."""
    asked = query(ListBudgets)
    limit = asked.pop("limit")
    found = budgets.list_(gateway(), limit=limit + 1, **asked)
    return list_answer([wire_of_budget(budget) for budget in found[:limit]], has_more=len(found) > limit)


@blueprint.put("/budgets")
@operation("budget_set")
def set_() -> Response:
    """Give a project, or a key of it, a budget for each period, or the one that it has another limit."""
    asked = body(SetBudget)
    limit = asked.pop("max_limit")
    return answer(wire_of_budget(budgets.set_(gateway(), **asked, limit_picodollars=limit, actor=actor())))


@blueprint.delete("/budgets")
@operation("budget_remove")
def remove() -> Response:
    """Remove a budget; the query says which, as the body of PUT does."""
    asked = query(NameBudget)
    budgets.remove(gateway(), **asked, actor=actor())
    return answer({"object": "budget.deleted", **asked, "deleted": True})
