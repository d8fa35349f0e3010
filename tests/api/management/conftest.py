"""Clients of the management API."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.web import application

Run = Callable[..., Result]


def client_of(gateway: Gateway, key: str) -> KeyClient:
    """A client that sends `key`."""
    flask_app = application(gateway)
    flask_app.test_client_class = KeyClient
    client = flask_app.test_client()
    assert isinstance(client, KeyClient)
    client.key = key
    return client


@pytest.fixture
def admin(gateway: Gateway) -> KeyClient:
    """A client with an admin's key, of project ops."""
    return client_of(gateway, keys.create(gateway, project="ops", name="admin", role="admin").key)


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate` on the test's store."""
    runner = CliRunner(env=environment)
    return lambda *arguments, **more: runner.invoke(batchgate, arguments, catch_exceptions=False, **more)
