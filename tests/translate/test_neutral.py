"""The neutral form of requests and answers."""

import pytest

from app.translate.neutral import Media, Refusal, Thinking, ToolCall, size_of


@pytest.mark.parametrize(
    ("part", "characters"),
    [
        ("hello", 5),
        (Thinking("hm"), 2),
        (Refusal("no"), 2),
        (ToolCall("call_1", "f", '{"a":1}'), 7),
        (ToolCall("call_1", "f", {"a": 1}), 8),
        (Media("image", data="AAAA", media_type="image/png"), 4),
        (Media("image", url="https://x/y"), 11),
        (Media("image"), 0),
    ],
)
def test_the_size_of_a_part_is_the_length_of_its_text(part, characters):
    assert size_of(part) == characters
