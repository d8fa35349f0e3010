"""What a view needs of the request: the gateway, and who calls."""

from flask import current_app, g

from app.services.gateway import Caller, Gateway

EXTENSION = "batchgate"


def gateway() -> Gateway:
    """The process's gateway, put there by create_app."""
    found: Gateway = current_app.extensions[EXTENSION]
    return found


def caller() -> Caller:
    """Who asks; set by the auth hook of every blueprint but health."""
    found: Caller = g.caller
    return found
