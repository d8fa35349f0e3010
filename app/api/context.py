"""What a view needs besides the request: the gateway, and the caller."""

from flask import current_app, g

from app.services.gateway import Caller, Gateway

EXTENSION = "batchgate"


def gateway() -> Gateway:
    """The process's gateway, as set by create_app."""
    value: Gateway = current_app.extensions[EXTENSION]
    return value


def caller() -> Caller:
    """Who sent the request; set by the auth hook of every blueprint except health."""
    value: Caller = g.caller
    return value
