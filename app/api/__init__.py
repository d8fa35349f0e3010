"""The HTTP layer: one package for each face, registered here."""

from flask import Flask

from app.api import anthropic, dashboard, errors, health, keycheck, management, openai, paths, reference, requests
from app.api.context import EXTENSION
from app.api.webhooks import incoming
from app.services.gateway import Gateway


def register(app: Flask, gateway: Gateway) -> None:
    """Registers all routes, hooks and error handlers on `app`, which serve `gateway`."""
    app.extensions[EXTENSION] = gateway
    paths.register(app)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    requests.register(app)
    errors.register(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(keycheck.blueprint)
    app.register_blueprint(incoming.blueprint)
    app.register_blueprint(reference.blueprint)
    openai.register(app)
    anthropic.register(app)
    management.register(app)
    dashboard.register(app)
