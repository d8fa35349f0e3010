"""Batchgate: one URL for the Files, Batches and Containers APIs of every model provider."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.services.gateway import Gateway
    from app.settings import Settings


def create_app(settings: "Settings | None" = None, *, gateway: "Gateway | None" = None) -> "Flask":
    """Create the WSGI application. `settings` default to those of the environment."""
    # Imported here so that `app.lib` and others can be imported without the web stack.
    from app.wiring import create_app as create

    return create(settings, gateway=gateway)


def build_gateway(settings: "Settings") -> "Gateway":
    """Build the services that the web process, the worker and the command line share."""
    from app.wiring import build_gateway as build

    return build(settings)
