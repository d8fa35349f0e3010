"""Anthropic's face: its SDKs find Files, Message Batches and Models below /anthropic (docs/anthropic.md)."""

from flask import Flask, Response, g
from flask.blueprints import Blueprint

from app.api import errors, query
from app.api.anthropic import batches, files, models, wire
from app.api.auth import require_key

NAME = "anthropic"
PREFIX = "/anthropic"


def register(app: Flask) -> None:
    """Every route of the face, each behind the auth hook, and its form of errors."""
    errors.speak(app, PREFIX, wire.error)
    face = Blueprint(NAME, __name__, url_prefix=f"{PREFIX}/v1")
    face.before_request(require_key)
    face.before_request(query.check)
    face.after_request(_name)
    for blueprint in (files.blueprint, batches.blueprint, models.blueprint):
        face.register_blueprint(blueprint)
    app.register_blueprint(face)


def _name(response: Response) -> Response:
    """Tell the id of the request where Anthropic's SDKs look for it."""
    response.headers["request-id"] = g.request_id
    return response
