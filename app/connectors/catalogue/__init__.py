"""The providers that the gateway knows, including those of other packages."""

from app.connectors.catalogue.declarations import Provider

__all__ = ["Provider"]
