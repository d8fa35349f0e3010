"""What stands before each page: the session, and that the request was sent by a page of ours."""

import hmac
from urllib.parse import urlsplit

from flask import Response, current_app, g, redirect, request

from app.api.auth import READS, client_address
from app.api.context import gateway
from app.api.operation import WRITES
from app.errors import AuthenticationError, PermissionDeniedError
from app.services.access import permissions, sessions
from app.services.access.sessions import Session
from app.services.backups import fence
from app.services.limits import limits

COOKIE = "batchgate_session"
PATH = "/ui"
SIGN_IN = f"{PATH}/sign-in"
FORM_TOKEN, TOKEN_HEADER = "csrf", "X-CSRF-Token"
# A page that looks for what is new by itself: nobody is known to be there.
LIVE_HEADER = "X-Batchgate-Live"
MAX_FORM_BYTES = 64 * 1024
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def require_same_site() -> None:
    """Raises PermissionDeniedError for a change that another site asks for."""
    g.request_type = _operation()
    if request.method in READS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    hosts = (request.host, urlsplit(gateway().settings.public_url).netloc)
    if site not in (None, "same-origin") or (origin is not None and urlsplit(origin).netloc not in hosts):
        raise PermissionDeniedError("This was sent by a page of another site, so nothing was done.")


def require_session() -> Response | None:
    """Sets `g.session` and `g.caller`, or leads to where one signs in."""
    g.session = g.caller = None
    if is_open():
        return None
    found = current()
    if found is None:
        return _ask_to_sign_in()
    g.session, g.caller = found, found.caller
    is_write = request.method not in READS
    permissions.check_request(found.caller, operation=g.request_type, is_write=g.request_type.endswith(WRITES))
    if is_write:
        limits.check_request(gateway(), found.caller)
    fence.check(gateway(), is_write=is_write)
    return None


def require_form_token() -> None:
    """Raises PermissionDeniedError for a change without the token that every form of this browser's has."""
    if request.method in READS:
        return
    given = request.headers.get(TOKEN_HEADER)
    if given is None:
        request.max_content_length = MAX_FORM_BYTES
        given = request.form.get(FORM_TOKEN, "")
    expected = sessions.form_token(browser_token())
    if not browser_token() or not hmac.compare_digest(expected, given.encode("ascii", "replace").decode()):
        text = "This form is of an earlier visit, so nothing was done. Load the page again and repeat it."
        raise PermissionDeniedError(text, code="stale_form")


def protect(response: Response) -> Response:
    """Adds what keeps a page to itself. What a view has set stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def current() -> Session | None:
    """Who is signed in in this browser."""
    is_use = LIVE_HEADER not in request.headers
    return sessions.resume(gateway(), browser_token(), request_id=g.request_id, address=client_address(), is_use=is_use)


def browser_token() -> str:
    """What the browser keeps, whether somebody is signed in or not."""
    fresh: str | None = g.get("fresh_token")
    return fresh or request.cookies.get(COOKIE, "")


def keep(response: Response, token: str) -> None:
    """Lets the browser keep `token`, which no script can read and no other site makes it send."""
    response.set_cookie(COOKIE, token, path=PATH, httponly=True, samesite="Lax", secure=is_https())


def is_https() -> bool:
    """True if the browser speaks HTTPS, with the gateway or with a proxy before it."""
    origin = request.headers.get("Origin", "")
    public = urlsplit(gateway().settings.public_url)
    forwarded = request.headers.get("X-Forwarded-Proto", "") == "https"
    is_public = public.scheme == "https" and public.netloc == request.host
    return request.is_secure or forwarded or is_public or origin.startswith("https://")


def is_open() -> bool:
    """True of what anybody may load."""
    view = current_app.view_functions.get(request.endpoint or "")
    return bool(getattr(view, "is_open", False))


def _ask_to_sign_in() -> Response:
    if LIVE_HEADER in request.headers or TOKEN_HEADER in request.headers or request.method not in ("GET", "HEAD"):
        raise AuthenticationError("You are no longer signed in. Sign in again; nothing was done.", code="signed_out")
    path = request.full_path.rstrip("?")
    return redirect(f"{SIGN_IN}?{_query(path)}", 303)  # type: ignore[return-value]


def _query(path: str) -> str:
    from urllib.parse import urlencode

    return urlencode({"next": path})


def _operation() -> str:
    view = current_app.view_functions.get(request.endpoint or "")
    return "ui_live" if LIVE_HEADER in request.headers else str(getattr(view, "request_type", "unknown"))
