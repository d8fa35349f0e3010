"""Signing in and out."""

from flask import Blueprint, Response, g, request

from app.api.auth import client_address
from app.api.context import gateway
from app.api.dashboard import guard, pages
from app.api.operation import operation
from app.errors import AuthenticationError, GatewayError, RateLimitedError
from app.services.access import sessions
from app.services.backups import fence

MAX_CREDENTIAL = 16 * 1024

blueprint = Blueprint("session", __name__)


@blueprint.get("/sign-in")
@operation("ui_sign_in")
def form() -> Response:
    """Asks for a key; who is signed in already is led on."""
    target = pages.inner(request.args.get("next", ""))
    if guard.current() is not None:
        return pages.see(target)
    return _form(target)


@blueprint.post("/sign-in")
@operation("session_create")
def sign_in() -> Response:
    """Begins a session, under a token that nobody has seen before."""
    target, address, served = pages.back(), client_address(), gateway()
    fence.check(served, is_write=True)
    wait_s = served.sign_ins.wait_s(address)
    if wait_s > 0:
        raise RateLimitedError("Too many attempts to sign in. Wait a minute, then try again.", retry_after_s=wait_s)
    credential = "".join(request.form.get("credential", "").split())[:MAX_CREDENTIAL]
    project = request.form.get("project", "").strip() or None
    try:
        token, caller = sessions.sign_in(served, credential, request_id=g.request_id, address=address, project=project)
    except GatewayError as error:
        if isinstance(error, AuthenticationError):
            served.sign_ins.failed(address)
        g.error = error
        return _form(target, error=error.message, status=error.status)
    # Who was signed in in this browser no longer is.
    sessions.sign_out(served, guard.browser_token())
    g.caller, g.object_id = caller, caller.name
    response = pages.see(target)
    guard.keep(response, token)
    return response


@blueprint.post("/sign-out")
@operation("session_delete")
def sign_out() -> Response:
    """Ends the session here and in the store."""
    session = guard.current()
    if session is not None:
        g.caller, g.object_id = session.caller, session.caller.name
    sessions.sign_out(gateway(), guard.browser_token())
    response = pages.see(guard.SIGN_IN)
    response.delete_cookie(guard.COOKIE, path=guard.PATH)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


for view in (form, sign_in, sign_out):
    view.is_open = True  # type: ignore[attr-defined]


def _form(target: str, *, error: str | None = None, status: int = 200) -> Response:
    # A form has a token of the browser's, so a browser without one gets one; signing in replaces it.
    is_new = not guard.browser_token()
    if is_new:
        g.fresh_token = sessions.new_token()
    issuers = bool(gateway().jwt.issuers)
    response = pages.page("sign_in.html", status=status, target=target, error=error, takes_tokens=issuers)
    if is_new:
        guard.keep(response, guard.browser_token())
    return response
