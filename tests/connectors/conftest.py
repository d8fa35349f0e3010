"""The socket of a provider's fake."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.serving import ServedApp


@pytest.fixture
def server(app: Any) -> Iterator[ServedApp]:
    """`app`, the fake of the module's own, on a socket."""
    with ServedApp(app) as server:
        yield server
