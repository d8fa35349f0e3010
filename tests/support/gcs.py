"""fake-gcs-server for the tests of a process, started when the first of them asks."""

import socket
from collections.abc import Iterator

import pytest

from tests.fakes import fake_gcs_server
from tests.fakes.vertex_app import BUCKET


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """Its URL; it has a bucket."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with fake_gcs_server.running(port) as url:
        fake_gcs_server.make_bucket(url, BUCKET)
        yield url
