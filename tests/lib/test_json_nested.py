"""Arrays deep within a JSON object, element by element, whatever is around them."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lib import json
from app.lib.json_stream import JsonStreamError, Member, PieceTooLargeError, nested_members

DEEP = ("a", "b")
LISTED = ("ops", "", "b")


def members(value, *, arrays=frozenset({DEEP, LISTED}), element_bytes=10**6, other_bytes=10**6):
    data = value if isinstance(value, bytes) else json.dumps(value)
    return list(nested_members(io.BytesIO(data), arrays=arrays, element_bytes=element_bytes, other_bytes=other_bytes))


def test_elements_come_first_and_the_object_without_them_last():
    found = members({"x": [1], "a": {"b": [{"c": [2]}, [], "d"], "e": {"b": [3]}}, "b": [4]})

    assert found == [
        Member("a.b", {"c": [2]}, 0),
        Member("a.b", [], 1),
        Member("a.b", "d", 2),
        Member("", {"x": [1], "a": {"b": [], "e": {"b": [3]}}, "b": [4]}),
    ]


def test_arrays_of_each_item_of_a_list():
    *elements, whole = members({"ops": [{"b": [1]}, {"n": 2}, {"b": []}, {"b": [3, 4]}]})

    assert [(member.name, member.value, member.index) for member in elements] == [
        ("ops..b", 1, 0),
        ("ops..b", 3, 0),
        ("ops..b", 4, 1),
    ]
    assert whole.value == {"ops": [{"b": []}, {"n": 2}, {"b": []}, {"b": []}]}


@pytest.mark.parametrize("value", [{"a": {"b": {}}}, {"a": {"b": None}}, {"a": []}, {"a": [{"b": [1]}]}, {}])
def test_what_is_no_such_array_stays(value):
    assert members(value) == [Member("", value)]


@pytest.mark.parametrize("data", [b"", b"7", b"[1]", b"null", b'{"a":{"b":[1', b'{"a":{"b":[1]}', b'{"a"}', b"{} x"])
def test_what_is_no_object_is_told(data):
    with pytest.raises(JsonStreamError):
        members(data)


@pytest.mark.parametrize("where", ['{"a":{"b":[%s]}}', '{"c":%s}'])
def test_what_is_too_deep_is_told(where):
    with pytest.raises(JsonStreamError):
        members((where % ("[" * 101 + "]" * 101)).encode())


def test_sizes_are_bounded():
    large = {"a": {"b": ["x" * 600_000] * 3}}
    assert len(members(large, other_bytes=300_000)) == 4
    for value, limits in ((large, {"element_bytes": 100_000}), ({"c": "x" * 600_000}, {"other_bytes": 100_000})):
        with pytest.raises(PieceTooLargeError):
            members(value, **limits)


class Endless:
    """Far more elements than memory should ever hold."""

    def __init__(self, count):
        self._pieces = iter([b'{"a":{"b":[0', *[b',"%s"' % (b"x" * 10_000)] * count, b"]}}"])
        self._left = b""

    def read(self, size=-1, /):
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        data, self._left = self._left[:size], self._left[size:]
        return data


def test_memory_holds_one_element():
    tracemalloc.start()
    try:
        found = nested_members(Endless(2000), arrays={DEEP}, element_bytes=10**6, other_bytes=10**6)
        assert sum(1 for _ in found) == 2002
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3))
def test_nothing_is_lost(value):
    *elements, whole = members(value)

    inner = value.get("a")
    wanted = inner["b"] if isinstance(inner, dict) and isinstance(inner.get("b"), list) else []
    assert [member.value for member in elements] == wanted
    if wanted:
        value = {**value, "a": {**inner, "b": []}}
    assert whole == Member("", value)
