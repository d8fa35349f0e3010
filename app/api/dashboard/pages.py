"""How a page is made: from its template, as a whole or only the part that changes while somebody looks at it."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, g, redirect, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.api import errors
from app.api.context import gateway
from app.api.dashboard import assets, guard, wording
from app.api.operation import operation
from app.errors import GatewayError, MethodNotAllowedError, NotFoundError
from app.services.access import projects, sessions
from app.services.access.sessions import Session
from app.version import VERSION

TEMPLATES = Path(__file__).parent / "templates"
LIVE_BLOCK = "live"
THEME = "batchgate_theme"
THEMES = ("light", "dark")
MAX_PROJECTS = 200
YEAR_S = 365 * 24 * 3600
# (path, what it is called, whether it is for admins)
PLACES = (
    ("/ui/batches", "Batches", "batches", False),
    ("/ui/files", "Files", "files", False),
    ("/ui/containers", "Containers", "containers", False),
    ("/ui/webhooks", "Webhooks", "webhooks", False),
    ("/ui/keys", "Keys and budgets", "keys", False),
    ("/ui/expiring", "Expiring soon", "expiring", False),
    ("/ui/now", "Now", "now", True),
    ("/ui/accounts", "Accounts", "accounts", True),
    ("/ui/usage", "Usage", "usage", True),
    ("/ui/events", "Events", "events", True),
)

blueprint = Blueprint("pages", __name__)


@blueprint.get("")
@operation("ui_home")
def home() -> Response:
    """The first page is the list of batches."""
    return see("/ui/batches")


@blueprint.post("/theme")
@operation("ui_theme")
def theme() -> Response:
    """Keeps the choice of light or dark in the browser."""
    response = see(back())
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        response.set_cookie(
            THEME, chosen, path=guard.PATH, max_age=YEAR_S, httponly=True, samesite="Lax", secure=guard.is_https()
        )
    else:
        response.delete_cookie(THEME, path=guard.PATH)
    return response


theme.is_open = True  # type: ignore[attr-defined]


@blueprint.post("/project")
@operation("ui_project")
def project() -> Response:
    """Shows an admin another project, from its list of batches on."""
    sessions.choose(gateway(), signed_in(), request.form.get("project", ""))
    return see("/ui/batches")


@blueprint.route("/<path:path>", methods=["GET", "POST"])
@operation("ui_nothing")
def nothing(path: str) -> Response:
    """There is no such page."""
    raise NotFoundError(f"There is no page /ui/{path:.200}.")


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """The page, or only its live part if a script of it asks; without a body if the browser has that already."""
    found, values = _templates().get_template(template), {**_shared(), **values}
    if guard.LIVE_HEADER in request.headers and LIVE_BLOCK in found.blocks:
        text = "".join(found.blocks[LIVE_BLOCK](found.new_context(values)))
    else:
        text = found.render(values)
    response = Response(text, status=status, content_type="text/html; charset=utf-8")
    if status == 200 and request.method in ("GET", "HEAD"):
        response.set_etag(hashlib.blake2b(text.encode(), digest_size=12).hexdigest())
        response.make_conditional(request)
    return response


def failed(error: Exception) -> Response:
    """The page that says what is wrong and what to do."""
    known = errors.explained(error)
    g.error = known
    response = _failure(known)
    if known.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(known.retry_after_s)))
    if isinstance(known, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(sorted(getattr(known, "allowed", ())))
    if request.method != "GET":
        # The rest of a body that was refused is never read.
        response.headers["Connection"] = "close"
    return response


def _failure(error: GatewayError) -> Response:
    if guard.LIVE_HEADER in request.headers or guard.TOKEN_HEADER in request.headers:
        return Response(error.message, status=error.status, content_type="text/plain; charset=utf-8")
    return page("error.html", status=error.status, error=error, request_id=g.request_id)


def signed_in() -> Session:
    """Who asks."""
    found: Session = g.session
    return found


def see(path: str) -> Response:
    """Leads to another page, which is read with GET."""
    return redirect(path, 303)  # type: ignore[return-value]


def back() -> str:
    """The page that a form was on."""
    return inner(request.form.get("next", ""))


def inner(path: str) -> str:
    """`path` if it is a page of ours, else the first one."""
    is_ours = path == guard.PATH or path.startswith((f"{guard.PATH}/", f"{guard.PATH}?"))
    is_plain = path.isascii() and path.isprintable() and "\\" not in path and "//" not in path.partition("?")[0]
    return path if is_ours and is_plain else guard.PATH


def _shared() -> dict[str, Any]:
    session: Session | None = g.get("session")
    chosen = request.cookies.get(THEME, "")
    return {
        "session": session,
        "csrf": sessions.form_token(guard.browser_token()),
        "theme": chosen if chosen in THEMES else "",
        "places": [place for place in PLACES if session and (session.is_admin or not place[3])],
        "projects": _projects(session),
        "path": request.path,
        "here": inner(request.full_path.rstrip("?")),
        "version": VERSION,
        "now": gateway().clock.now_ms(),
    }


def _projects(session: Session | None) -> list[str]:
    """What an admin may choose; those beyond the first can be typed."""
    if session is None or not session.is_admin or guard.LIVE_HEADER in request.headers:
        return []
    page = projects.list_(gateway(), limit=MAX_PROJECTS, archived=False)
    return [each.name for each in page.items]


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["asset"] = assets.url
    made.filters.update(wording.FILTERS)
    return made
