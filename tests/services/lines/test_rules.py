"""What makes a line invalid in any batch."""

import json
from typing import Any

import pytest

from app.services.lines import rules
from app.services.lines.rules import Finding


def read(**body: Any) -> Any:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", **body}}
    return rules.read(json.dumps(line).encode(), number=1, max_line_bytes=10_000)


@pytest.mark.parametrize("name", ["stream", "Stream", "STREAM"])
def test_a_line_that_asks_for_a_stream_is_refused_in_any_case(name: str) -> None:
    """An answer in pieces has a usage that nobody reads, and so no cost."""
    found = read(**{name: True})
    assert isinstance(found, Finding)
    assert (found.code, found.param) == ("streaming_unsupported", f"body.{name}")
    assert not isinstance(read(**{name: False}), Finding)
