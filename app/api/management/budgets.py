"""Routes of budgets: what the batches of a project, or of one key, may cost in a period."""

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.request import actor, body, query
from app.api.management.wire import budget_wire
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ListBudgets, NameBudget, SetBudget
from app.services.money import budgets

blueprint = Blueprint("budgets", __name__)


@blueprint.get("/budgets")
@operation("budget_list", ListBudgets)
def list_() -> Response:
    """Budgets by id: of all projects, of one project and its keys, or of one key."""
    filters = query(ListBudgets)
    limit = filters.pop("limit")
    page = budgets.list_(gateway(), limit=limit + 1, **filters)
    return list_answer([budget_wire(budget) for budget in page[:limit]], has_more=len(page) > limit)


@blueprint.put("/budgets")
@operation("budget_set")
def set_() -> Response:
    """Create the budget of a project or key for a kind of period, or change its limit."""
    budget = body(SetBudget)
    limit = budget.pop("max_limit")
    return answer(budget_wire(budgets.set_(gateway(), **budget, limit_picodollars=limit, actor=actor())))


@blueprint.delete("/budgets")
@operation("budget_remove", NameBudget)
def remove() -> Response:
    """Remove the budget that the query names with the same fields as the body of PUT."""
    name = query(NameBudget)
    budgets.remove(gateway(), **name, actor=actor())
    return answer({"object": "budget.deleted", **name, "deleted": True})
