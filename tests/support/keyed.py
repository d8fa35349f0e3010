"""Clients with a key of their own: its role, its lists, where they call from."""

from typing import Any

from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.web import application


def with_key(gateway: Gateway, key: str) -> KeyClient:
    """A client that sends `key`."""
    flask_app = application(gateway)
    flask_app.test_client_class = KeyClient
    client = flask_app.test_client()
    assert isinstance(client, KeyClient)
    client.key = key
    return client


def keyed(gateway: Gateway, *, project: str = "alpha", **fields: Any) -> KeyClient:
    """A client with a new key of `project`, which has these fields."""
    return with_key(gateway, keys.create(gateway, project=project, name="keyed", **fields).key)


def public_id(client: KeyClient) -> str:
    """What the client's key is found by."""
    return client.key.removeprefix(keys.PREFIX).partition("-")[0]
