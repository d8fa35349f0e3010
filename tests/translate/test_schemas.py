"""Schemas that callers send to make the conversion slow or deep: each is converted or refused, at little cost."""

import pytest

from app.translate.errors import TranslationError
from app.translate.schemas import nova, openapi, strict
from app.translate.schemas.convert import MAX_NODES

CONVERSIONS = {"strict": strict.convert, "nova": nova.convert, "openapi": openapi.convert}


def nested(levels, kind):
    schema = {"type": "string"}
    for _ in range(levels):
        wrapped = {
            "items": {"type": "array", "items": schema},
            "properties": {"type": "object", "properties": {"a": schema}},
            "anyOf": {"anyOf": [schema]},
        }
        schema = wrapped[kind]
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
@pytest.mark.parametrize("kind", ["items", "properties", "anyOf"])
@pytest.mark.parametrize("levels", [130, 260, 500])
def test_a_deep_schema_is_refused(convert, kind, levels):
    with pytest.raises(TranslationError, match="levels"):
        convert(nested(levels, kind), "tools")


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_schema_of_25_levels_is_converted(convert):
    assert convert(nested(25, "properties"), "tools").schema["type"] in ("object", "OBJECT")


def doubling(levels):
    """Each definition refers to two others, which both refer to the next two: 2**levels ways lead to the end."""
    definitions = {
        f"{name}{level}": {
            "type": "object",
            "properties": {other: {"$ref": f"#/$defs/{other}{level + 1}"} for other in "ab"},
            "required": ["a", "b"],
        }
        for level in range(levels)
        for name in "ab"
    }
    end = {f"{name}{levels}": {"type": "string"} for name in "ab"}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}, "required": ["a"]}
    return {**schema, "$defs": definitions | end}


@pytest.mark.parametrize("convert", [nova.convert, openapi.convert])
def test_a_schema_that_grows_without_bounds_is_refused(convert):
    with pytest.raises(TranslationError, match="too large"):
        convert(doubling(20), "tools")


def test_definitions_that_are_not_inlined_are_followed_once():
    assert len(strict.convert(doubling(50), "tools").schema["$defs"]) == 102


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_neither_the_callers_schema_nor_a_remembered_result_changes(convert):
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}}
    before = repr(schema)
    first = convert(schema, "tools")

    assert convert(schema, "tools") == first
    assert repr(schema) == before


def test_a_large_schema_is_converted():
    properties = {f"p{number}": {"type": "string"} for number in range(MAX_NODES // 3)}
    schema = {"type": "object", "properties": properties, "required": [*properties]}

    assert len(nova.convert(schema, "tools").schema["properties"]) == len(properties)
    assert len(strict.convert(schema, "tools").schema["properties"]) == len(properties)
