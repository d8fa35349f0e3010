"""The dashboard under `/ui`: pages made on the server, for people who have signed in.

Its sessions open nothing else, and keys and tokens in headers open no page of it.
"""

from flask import Blueprint, Flask, Response, redirect, request

from app.api.dashboard import (
    accounts,
    assets,
    batches,
    containers,
    files,
    governance,
    guard,
    history,
    line_view,
    live,
    pages,
    session,
    usage,
    webhooks,
)

PREFIX = "/ui"
HTML = "text/html"
WITH_SESSION = (live, batches, line_view, files, containers, governance, accounts, usage, history, webhooks)


def register(app: Flask) -> None:
    """Registers all pages, each behind the hook that asks for a session, but for signing in and what pages load."""
    ui = Blueprint("ui", __name__, url_prefix=PREFIX)
    ui.before_request(guard.require_same_site)
    ui.before_request(guard.require_session)
    ui.before_request(guard.require_form_token)
    ui.after_request(guard.protect)
    ui.register_error_handler(Exception, pages.failed)
    for module in (assets, session, *WITH_SESSION, pages):
        ui.register_blueprint(module.blueprint)
    app.register_blueprint(ui)
    app.before_request(_greet)


def _greet() -> Response | None:
    """Sends a browser that asks for `/` to the dashboard: it names HTML in `Accept`, as no client does."""
    if request.path != "/" or request.method not in ("GET", "HEAD"):
        return None
    wants_html = any(value.lower() == HTML and quality > 0 for value, quality in request.accept_mimetypes)
    return redirect(PREFIX) if wants_html else None  # type: ignore[return-value]
