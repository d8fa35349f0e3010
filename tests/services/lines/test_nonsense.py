"""Bodies with anything anywhere are read, searched, counted and written, or refused: no line may break a worker."""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from app.services.lines import file_refs, line_tokens, models, owned_ids, rules
from app.translate import dialects
from app.translate.errors import TranslationError
from tests.support import fuzzing
from tests.support.fuzzing import CHAT, EMBEDDINGS, MESSAGES, RESPONSES
from tests.support.mutations import mutated, planted
from tests.translate.targets import DIALECTS

BODIES = 800
WORDS = ("type", "input", "arguments", "parameters", "data", "name", "function", "id", "role", "tools", "schema", "url")


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS])
def test_whatever_stands_in_a_body_is_read_or_refused(endpoint: str) -> None:
    random = Random(endpoint)
    written = 0
    for _ in range(BODIES):
        line = random.choice(fuzzing.samples(endpoint))
        body = planted(random, mutated(random, line["body"], most=1), WORDS)
        rules.read(orjson.dumps({**line, "body": body}), number=1, max_line_bytes=10**6)
        if not isinstance(body, dict):
            continue
        file_refs.named_in(endpoint, body)
        line_tokens.of_line(body, endpoint)
        line_tokens.most_of(body, endpoint, default_output=100)
        list(models.named(body))
        list(models.fallbacks(body))
        for dialect in DIALECTS.values():
            written += _writes(endpoint, {**body, "model": dialect.model}, dialect.write)
    assert written > BODIES or endpoint == EMBEDDINGS


def _writes(endpoint: str, body: dict[str, Any], write: Callable[..., Any]) -> bool:
    try:
        if endpoint == EMBEDDINGS:
            dialects.read_embedding(body)
        else:
            write(dialects.read_request(endpoint, body))
    except TranslationError:
        return False
    return True


@pytest.mark.parametrize("named", [["text"], {"type": "tool_use"}, 5, True, None])
@pytest.mark.parametrize("member", ["input", "arguments", "parameters", "data"])
def test_a_type_that_is_no_word_makes_no_member_free(named: Any, member: str) -> None:
    body = {"model": "m", "tools": [{"type": named, "name": "f", member: {"file_id": "file-1"}}]}
    is_free = member == "arguments" or (member == "parameters" and named is None)
    assert owned_ids.find(body) == (None if is_free else f"body.tools[0].{member}.file_id")
