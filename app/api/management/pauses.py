"""Routes of pauses: where providers refuse lines, for how long, and why."""

from flask import Blueprint, Response, g

from app.api.context import gateway
from app.api.management.request import actor, query
from app.api.management.wire import pause_wire
from app.api.operation import answer, list_answer, operation
from app.schemas.management import EndPauses, ListPauses
from app.services.accounts import pauses

blueprint = Blueprint("pauses", __name__)


@blueprint.get("/pauses")
@operation("pause_list", ListPauses)
def list_() -> Response:
    """Pauses of accounts, models and projects by id."""
    fields = query(ListPauses)
    page = pauses.list_(gateway(), limit=fields["limit"] + 1, after=fields["after"])
    return list_answer([pause_wire(pause) for pause in page[: fields["limit"]]], has_more=len(page) > fields["limit"])


@blueprint.delete("/pauses")
@operation("pause_end", EndPauses)
def end() -> Response:
    """End the pauses of the account that the query names, or of one of its models: lines are sent again at once."""
    fields = query(EndPauses)
    provider, _, name = fields["account"].partition("/")
    g.object_id = fields["account"]
    ended = pauses.end(gateway(), provider=provider, name=name, model=fields["model"], actor=actor())
    return answer({"object": "pause.deleted", "account": fields["account"], "deleted": True, "ended": ended})
