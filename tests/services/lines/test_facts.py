"""What an index finds out of all lines of an input: never more than a look at each of them would."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.services.lines import facts, rules
from app.services.lines.facts import MAX_IDS, InputFacts
from app.services.lines.index import GROUP_LINES, LineIndex
from app.services.lines.rules import LineFacts

CHAT = "/v1/chat/completions"
MAX_BYTES = 1024 * 1024
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
USUAL = {"custom_id": "a", "method": "POST", "url": CHAT, "body": BODY}
NAMES = ["file_id", "model", "messages", "stream", "Stream", "STREAM", "max_tokens", "n", "tools", "url"]
TEXTS = ["", "m", "other", "POST", "post", CHAT, "/v1/embeddings", "/chat/completions", "\0", "x" * 512, "x" * 513]
OTHERS = [None, False, True, 0, 1, 1.5, [], {}, [1], {"model": "m"}, BODY, {**BODY, "stream": True}]
VALUES: st.SearchStrategy[Any] = st.sampled_from([*TEXTS, *OTHERS])
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3).map(lambda more: {**BODY, **more})
LINES = st.one_of(
    st.builds(lambda more: {**USUAL, **more}, st.dictionaries(st.sampled_from([*USUAL, "params"]), VALUES, max_size=1)),
    st.builds(lambda custom_id: {**USUAL, "custom_id": custom_id}, st.text(max_size=3)),
    st.builds(lambda body: {**USUAL, "body": body}, BODIES),
    st.builds(lambda body: {"custom_id": "p", "params": body}, BODIES),
    st.sampled_from([None, [], "custom_id", {}, {name: USUAL[name] for name in ("custom_id", "body")}]),
)


def line(number: int, **changes: Any) -> bytes:
    return orjson.dumps({**USUAL, "custom_id": f"c{number}", **changes}) + b"\n"


def indexed(data: bytes, *, size: int = 65536) -> LineIndex:
    index = LineIndex(max_lines=MAX_IDS * 2)
    for start in range(0, len(data), size):
        index.write(data[start : start + size])
    index.finish()
    return index


def found(data: bytes) -> InputFacts | None:
    return facts.of_stored(indexed(data).facts)


def looked_at(raw: Sequence[bytes]) -> tuple[list[LineFacts], int]:
    """(The valid lines, the number of others), each looked at by itself."""
    checked = [rules.read(data, number=1, max_line_bytes=MAX_BYTES) for data in raw]
    valid = [each for each in checked if isinstance(each, LineFacts)]
    return valid, len(checked) - len(valid)


@given(st.lists(LINES, max_size=4), st.sampled_from([1, GROUP_LINES, GROUP_LINES + 9]), st.sampled_from([50, 65536]))
@example([USUAL, {**USUAL, "body": {**BODY, "stream": True}}], GROUP_LINES, 65536)
@example([{**USUAL, "custom_id": "\0"}], GROUP_LINES, 65536)
@example([{**USUAL, "params": BODY}], GROUP_LINES, 65536)
@example([{**USUAL, "body": "model"}], GROUP_LINES, 65536)
@example([{**USUAL, "custom_id": 7}], GROUP_LINES, 65536)
def test_lines_are_recognised_only_if_a_look_finds_them_valid(values: list[Any], before: int, size: int) -> None:
    around = [line(number).rstrip() for number in range(before + 9)]
    raw = around[:before] + [orjson.dumps(value) for value in values] + around[before:]
    index = indexed(b"\n".join(raw), size=size)
    valid, invalid = looked_at(raw)
    assert index.lines == len(raw)
    assert (index.details is None) == (invalid == 0)
    kinds, ids = {(each.url, each.form) for each in valid}, {each.custom_id for each in valid}
    if invalid or len(kinds) > 1 or len(ids) < len(raw):
        assert index.facts is None
        return
    models = {each.model for each in valid}
    known = facts.of_stored(index.facts)
    assert known is not None
    assert (known.url, known.form) == (*kinds.pop(),)
    assert known.model == (models.pop() if len(models) == 1 else None)
    assert (known.lines, known.first_line, known.last_line) == (len(raw), 1, len(raw))
    assert known.longest_bytes == max(map(len, raw))
    assert known.names_files == any(b"file_id" in data for data in raw)


def test_blank_lines_count_in_the_file_and_first_and_last_are_others() -> None:
    known = found(b"\xef\xbb\xbf\n \r\n" + line(1) + b"\n" + line(2) + b"\n\n\n")
    assert known is not None
    assert (known.lines, known.file_lines, known.first_line, known.last_line) == (2, 8, 3, 5)
    assert known.first_offset == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        line(1) + b"{",
        line(1) + line(1),
        line(1) + line(2, url="/v1/embeddings"),
        line(1) + b'{"custom_id":"a","params":{"model":"m"}}',
        line(1) + line(2, body={"messages": "x" * MAX_BYTES}),
        line(1) + line(2, body={**BODY, "deep": None}).replace(b"null", b"[" * 300 + b"]" * 300),
    ],
    ids=("empty", "blank", "no-json", "same-id", "other-url", "other-form", "too-long-to-look-at", "too-deep"),
)
def test_nothing_is_known_of_a_file_of_which_not_all_is_right(data: bytes) -> None:
    assert indexed(data).facts is None


def test_lines_over_a_limit_leave_nothing_known() -> None:
    index = LineIndex(max_lines=2)
    index.write(line(1) + line(2) + line(3))
    index.finish()
    assert index.facts is None


@pytest.mark.parametrize("at", [0, GROUP_LINES + 3])
@pytest.mark.parametrize("name", [b"file_id", rb"\u0066ile_id", rb"file\u005fid"])
def test_a_line_that_may_name_a_file_is_noticed(name: bytes, at: int) -> None:
    lines = [line(number) for number in range(GROUP_LINES + 9)]
    lines[at] = line(at, body={**BODY, "x": {"here": 1}}).replace(b"here", name)
    known = found(b"".join(lines))
    assert known is not None and known.names_files


def test_letters_of_other_scripts_hide_no_name() -> None:
    text = rb"caf\u00e9 \u4eac"
    known = found(b"".join([line(n, body={**BODY, "user": "here"}).replace(b"here", text) for n in range(99)]))
    assert known is not None and not known.names_files


def test_several_models_or_none_are_no_model() -> None:
    several, none = found(line(1) + line(2, body={"model": "other"})), found(line(1, body={}))
    assert several is not None and several.model is None
    assert none is not None and none.model is None


@pytest.mark.parametrize("is_unique", [True, False])
def test_a_repeated_id_is_found_however_many_there_are(is_unique: bool) -> None:
    count = facts.IDS_EACH_PASS + 10
    data = b"".join([line(number) for number in range(count)]) + line(count if is_unique else 5)
    assert (indexed(data).facts is not None) == is_unique


def test_of_very_many_lines_nobody_remembers_the_ids() -> None:
    data = b"".join([line(number) for number in range(MAX_IDS + 1000)])
    index = indexed(data)
    assert (index.lines, index.details, index.facts) == (MAX_IDS + 1000, None, None)


def test_what_other_code_has_found_is_not_trusted() -> None:
    stored = indexed(line(1)).facts
    assert stored is not None and facts.of_stored(stored) is not None
    assert facts.of_stored({**stored, "rules": "of-another-release"}) is None
    assert facts.of_stored(None) is None
