"""Members that an object has twice, of which nobody knows which one a parser takes."""

import json as stdlib_json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lib import json

REPEATED = [
    b'{"a":1,"a":2}',
    b'{"a":1,"a":1}',
    b'{"a" : 1, "a"\t:\n2}',
    b'{"a":1,"\\u0061":2}',
    b'[{"b":{"":1,"x":[],"":2}}]',
    b'{"a":"\\u0022\\u0022","a":""}',  # as many marks as what is parsed
    b'{"a":1,"b":"\\u0022:\\u0022:","a":2}',
    b'{"a":{"a":1},"a":{"b":{"c":"x"}}}',
]
SINGLE = [
    b'{"a":1,"A":2,"b":{"a":1}}',
    b'[{"a":1},{"a":1}]',
    b'{"a":"\\"a\\":1"}',
    b'{"a\\"":"\\u0022","a":"\\\\"}',
    b'{ "a" : "\\u0000" }',
    b'"a"',
]


@pytest.mark.parametrize("text", REPEATED)
def test_a_repeated_member_is_seen(text: bytes) -> None:
    assert json.repeats_member(text)


@pytest.mark.parametrize("text", SINGLE)
def test_other_texts_repeat_none(text: bytes) -> None:
    assert not json.repeats_member(text)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(st.characters(codec="utf-8"), max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_what_a_library_writes_repeats_nothing(value: object, ascii_only: bool, indent: int | None) -> None:
    text = stdlib_json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert not json.repeats_member(text)
    twice = b'{"k":' + text + b',"x":0,"k":' + text + b"}"
    assert json.repeats_member(twice)
