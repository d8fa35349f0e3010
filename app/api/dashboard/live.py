"""Now: what each account does for each model, the workers, and the next deadlines. For admins."""

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.dashboard import pages
from app.api.operation import operation
from app.services import now

LIVE_MS = 2000
MAX_LANES = 200
SECOND_MS = 1000

blueprint = Blueprint("live", __name__)


@blueprint.get("/now")
@operation("ui_now")
def show() -> Response:
    """The state of everything at this moment."""
    pages.signed_in().actor()
    found = now.look(gateway())
    return pages.page("now.html", found=found, lanes=found.lanes[:MAX_LANES], live_ms=LIVE_MS)
