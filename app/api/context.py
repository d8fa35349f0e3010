"""What a view needs besides the request: the gateway, and the caller."""

from flask import current_app, g
from flask.ctx import _AppCtxGlobals

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


def of_request() -> _AppCtxGlobals:
    """What `g` stands for at the moment: to read several members of it, as each look-up by `g` costs as much as ten."""
    found: _AppCtxGlobals = g._get_current_object()
    return found
