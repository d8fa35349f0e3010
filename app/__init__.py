"""Batchgate: one URL for the Files, Batches and Containers APIs of every model provider."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.services.gateway import Gateway
    from app.settings import Settings


def create_app(settings: "Settings | None" = None, *, gateway: "Gateway | None" = None) -> "Flask":
    """The WSGI application, on `settings` or the environment's."""
    # Imported here so that `app.lib` and its like load without the web stack.
    from app.wiring import create_app as wired

    return wired(settings, gateway=gateway)


def build_gateway(settings: "Settings") -> "Gateway":
    """What the worker and the command line lean on."""
    from app.wiring import build_gateway as built

    return built(settings)
