"""What the conversions of schemas share: their result, a memory of recent ones, and references within a schema."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.lib import json
from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json

# The lines of a batch mostly share their schemas.
MAX_REMEMBERED = 256
MAX_REMEMBERED_BYTES = 16 * 1024
MAX_DEPTH = 64
MAX_NODES = 5000
DEFINITIONS = ("$defs", "definitions")
# Members that say nothing about the values.
IDENTITY = frozenset({"$schema", "$id", "$comment", "$anchor"})
ANNOTATIONS = IDENTITY | {"title", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"}
COMBINED = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class Converted:
    """A schema as a provider takes it. `dropped` are the keywords that it does not enforce.

    `optional` and `unions` count the properties that may be left out, and those of several types.
    """

    schema: Json
    dropped: tuple[str, ...] = ()
    optional: int = 0
    unions: int = 0


Convert = Callable[[Json, str], Converted]


def remembering(convert: Convert) -> Convert:
    """Return `convert`, which takes a schema and the field that it is from, with a memory of recent results.

    It does not change the schema it gets, and nobody changes what it returns.
    """

    @lru_cache(maxsize=MAX_REMEMBERED)
    def remembered(data: bytes, param: str) -> Converted:
        return convert(json.loads(data), param)

    def converted(schema: Json, param: str) -> Converted:
        try:
            data = json.dumps(schema)
        except json.JSONEncodeError:
            raise too_deep(param) from None
        return remembered(data, param) if len(data) <= MAX_REMEMBERED_BYTES else convert(schema, param)

    return converted


def too_deep(param: str) -> TranslationError:
    """Return the error for a schema with too many levels."""
    return TranslationError(param, f"the schema must have at most {MAX_DEPTH} levels.")


def definitions_of(schema: Json) -> Json:
    """Return the definitions at the top of a schema, by name."""
    found: Json = {}
    for member in DEFINITIONS:
        if isinstance(schema.get(member), dict):
            found |= schema[member]
    return found


def name_of(reference: Any, param: str) -> str:
    """Return the name of the definition that `$ref` refers to. Raises TranslationError for any other reference."""
    for member in DEFINITIONS:
        if isinstance(reference, str) and reference.startswith(f"#/{member}/"):
            return reference.removeprefix(f"#/{member}/").replace("~1", "/").replace("~0", "~")
    raise TranslationError(param, f"the schema's $ref must name one of its $defs, not {describe(reference)}.")


class Inlining:
    """Puts the definitions of a schema in the place of references to them.

    `recursive` makes what stands for a reference to a definition within itself, or raises.
    """

    def __init__(self, schema: Json, param: str, *, recursive: Callable[[str], Json]) -> None:
        self._definitions = definitions_of(schema)
        self._param = param
        self._recursive = recursive
        self._nodes = 0

    def inlined(self, node: Any, within: tuple[str, ...] = (), depth: int = 0) -> Any:
        """Return a schema, or a part of one, without references. Raises TranslationError."""
        self._nodes += 1
        if depth > MAX_DEPTH * 2:
            raise too_deep(self._param)
        if self._nodes > MAX_NODES:
            raise TranslationError(self._param, "the schema is too large once its $ref are replaced by what they name.")
        if isinstance(node, list):
            return [self.inlined(item, within, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._referred(node, within, depth)
        return {name: self._member(name, value, within, depth) for name, value in node.items()}

    def _member(self, name: str, value: Any, within: tuple[str, ...], depth: int) -> Any:
        if name == "properties" and isinstance(value, dict):  # a property may have any name, such as $ref
            return {key: self.inlined(item, within, depth + 1) for key, item in value.items()}
        return value if name in VALUES else self.inlined(value, within, depth + 1)

    def _referred(self, node: Json, within: tuple[str, ...], depth: int) -> Any:
        name = "#" if node["$ref"] == "#" else name_of(node["$ref"], self._param)
        if name in within or name == "#":
            return self._recursive(name)
        if name not in self._definitions:
            raise TranslationError(self._param, f"the schema has no definition {describe(name)}.")
        found = self.inlined(self._definitions[name], (*within, name), depth + 1)
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**found, **self.inlined(rest, within, depth + 1)} if isinstance(found, dict) and rest else found


# Members whose values are no schemas.
VALUES = frozenset({"enum", "const", "default", "examples", "example", "required"})


def without_definitions(schema: Json) -> Json:
    """Return a schema without its definitions."""
    return {name: value for name, value in schema.items() if name not in DEFINITIONS}


def no_recursion(param: str) -> Callable[[str], Json]:
    """Return what to do about a definition within itself where that is not possible: raise."""

    def refuse(name: str) -> Json:
        raise TranslationError(param, f"the schema must not be recursive ({describe(name)}): this model takes none.")

    return refuse
