"""What has happened, and what expires soon."""

from flask import Blueprint, Response, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.operation import operation
from app.errors import InvalidRequestError
from app.services.events import browse
from app.services.events.browse import Filters
from app.services.upkeep import expiring

PER_PAGE = 50
OUTCOMES = ("done", "refused", "failed")
MAX_DIGITS = 18
MAX_WORD = 64

blueprint = Blueprint("history", __name__)


@blueprint.get("/events")
@operation("ui_events")
def events() -> Response:
    """Events of the project that is shown, or of all, newest first. For admins, as on the API."""
    pages.signed_in().actor()
    query = {name: request.args.get(name, "").strip()[:MAX_WORD] for name in ("operation", "outcome", "object", "of")}
    after = request.args.get("after", "")
    if after and not (after.isascii() and after.isdecimal() and len(after) <= MAX_DIGITS):
        raise InvalidRequestError("after: must be the id of an event.", param="after")
    filters = Filters(
        project=None if query["of"] == "all" else caller().project,
        operation=_plain(query["operation"]),
        outcome=query["outcome"] if query["outcome"] in OUTCOMES else None,
        object_id=_plain(query["object"]),
    )
    page = browse.list_(gateway(), filters, limit=PER_PAGE, after=int(after) if after else None)
    return pages.page(
        "events.html",
        events=page.items,
        query=query,
        after=after,
        outcomes=OUTCOMES,
        further=page.items[-1].id if page.has_more else None,
    )


@blueprint.get("/expiring")
@operation("ui_expiring")
def soon() -> Response:
    """What of the project ends within a week: files, batches that run, keys."""
    return pages.page("expiring.html", items=expiring.soon(gateway(), caller()), days=expiring.WITHIN_DAYS)


def _plain(word: str) -> str | None:
    return word if word and word.isprintable() else None
