"""The web application for tests: its routes are registered once in a process, which takes 50 ms of CPU."""

import copy

from flask import Flask

from app import create_app
from app.api.context import EXTENSION
from app.api.requests import REFUSALS
from app.services.events.refusals import Refusals
from app.services.gateway import Gateway

_routes: list[Flask] = []


def application(gateway: Gateway) -> Flask:
    """What `create_app(gateway=gateway)` makes, with the routes of the first one that was made."""
    if not _routes:
        _routes.append(create_app(gateway=gateway))
    made = copy.copy(_routes[0])
    made.extensions = {**made.extensions, EXTENSION: gateway, REFUSALS: Refusals()}
    return made
