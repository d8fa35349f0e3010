"""The providers that the gateway knows, and what packages outside of this repository add to them."""

from app.connectors.catalogue.declarations import Provider

__all__ = ["Provider"]
