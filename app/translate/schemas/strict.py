"""Schemas of Claude's structured outputs and strict tools, converted as Anthropic's SDK does.

What Claude does not enforce moves into the description, where the model may still follow it
(platform.claude.com/docs/en/build-with-claude/structured-outputs; the SDK's `transform_schema`).
"""

from typing import Any

from app.lib import json
from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json
from app.translate.schemas.convert import (
    ANNOTATIONS,
    COMBINED,
    DEFINITIONS,
    IDENTITY,
    MAX_DEPTH,
    Converted,
    name_of,
    no_recursion,
    remembering,
    too_deep,
)

FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
KEPT = ("description", "title")
PLAIN = (str, int, float, bool, type(None))
FREE = "Claude takes no free-form objects here: list the properties of {where}."
UNTYPED = "Claude needs a type, an enum or anyOf in every schema, and {where} has none."
MAX_MENTIONED = 200


@remembering
def convert(schema: Json, param: str) -> Converted:
    """Convert a schema. Raises TranslationError that names `param` when Claude has no equivalent."""
    return _Conversion(param).whole(schema)


class _Conversion:
    def __init__(self, param: str) -> None:
        self.param = param
        self.dropped: dict[str, None] = {}
        self.optional = self.unions = 0
        # The definitions that each definition refers to.
        self.references: dict[str, set[str]] = {}
        self._within: str | None = None

    def whole(self, schema: Json) -> Converted:
        converted = self._schema(schema, "the schema", 0)
        checked: set[str] = set()
        for name in self.references:
            self._check_recursion(name, (), checked)
        return Converted(converted, tuple(self.dropped), self.optional, self.unions)

    def _schema(self, node: Any, where: str, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise too_deep(self.param)
        if not isinstance(node, dict):
            raise TranslationError(self.param, UNTYPED.format(where=where))
        rest = {name: value for name, value in node.items() if name not in IDENTITY}
        made: Json = {}
        self._definitions(rest, made, depth)
        if "$ref" in rest:
            made["$ref"] = self._reference(rest["$ref"])
            return made
        kind = self._kind(rest, made, where, depth)
        for name in KEPT:
            if rest.get(name) is not None:
                made[name] = rest.pop(name)
        if kind == "object":
            self._object(rest, made, where, depth)
        elif kind == "array":
            self._array(rest, made, where, depth)
        elif kind == "string" and rest.get("format") in FORMATS:
            made["format"] = rest.pop("format")
        self._describe(rest, made)
        return made

    def _definitions(self, rest: Json, made: Json, depth: int) -> None:
        outer = self._within
        for member in DEFINITIONS:
            definitions = rest.pop(member, None)
            for name, inner in definitions.items() if isinstance(definitions, dict) else ():
                self._within = name
                self.references.setdefault(name, set())
                made.setdefault("$defs", {})[name] = self._schema(inner, f"definition {describe(name)}", depth + 1)
        self._within = outer

    def _reference(self, reference: Any) -> str:
        if reference == "#":
            no_recursion(self.param)("#")
        name = name_of(reference, self.param)
        if self._within is not None:
            self.references[self._within].add(name)
        return str(reference).replace("#/definitions/", "#/$defs/", 1)

    def _check_recursion(self, name: str, within: tuple[str, ...], checked: set[str]) -> None:
        """Raise TranslationError if a definition refers to itself; each is followed once, however often it is used."""
        if name in within:
            no_recursion(self.param)(name)
        if len(within) > MAX_DEPTH:
            raise too_deep(self.param)
        if name in checked:
            return
        for other in self.references.get(name, ()):
            self._check_recursion(other, (*within, name), checked)
        checked.add(name)

    def _kind(self, rest: Json, made: Json, where: str, depth: int) -> str | None:
        """Write what says which values are valid, and return the type if it is a single one."""
        kind = rest.pop("type", None)
        if (
            isinstance(rest.get("enum"), list)
            and rest["enum"]
            and all(isinstance(item, PLAIN) for item in rest["enum"])
        ):
            made["enum"] = rest.pop("enum")
        if "const" in rest and isinstance(rest["const"], PLAIN):
            made["const"] = rest.pop("const")
        for member in COMBINED:
            if isinstance(rest.get(member), list):
                own = "allOf" if member == "allOf" else "anyOf"
                made[own] = [self._schema(item, where, depth + 1) for item in rest.pop(member)]
                self.unions += own == "anyOf"
                return kind if isinstance(kind, str) else None
        if "enum" in made or "const" in made:
            return None
        if isinstance(kind, list):
            self._union(kind, rest, made, where, depth)
            return None
        kind = kind or ("object" if "properties" in rest else "array" if "items" in rest else None)
        if not isinstance(kind, str):
            raise TranslationError(self.param, UNTYPED.format(where=where))
        made["type"] = kind
        return kind

    def _union(self, kinds: list[Any], rest: Json, made: Json, where: str, depth: int) -> None:
        """Write a list of types as anyOf; each type gets the members that are about it."""
        named = {name: rest.pop(name) for name in list(rest) if name in KEPT}
        variants = []
        for kind in kinds:
            own = {name: value for name, value in rest.items() if name not in BELONG or kind in BELONG[name]}
            variants.append(self._schema({"type": kind, **own}, where, depth + 1))
        rest.clear()
        rest |= named
        made["anyOf"] = variants
        self.unions += 1

    def _object(self, rest: Json, made: Json, where: str, depth: int) -> None:
        properties, additional = rest.pop("properties", None), rest.pop("additionalProperties", None)
        required = rest.pop("required", None)
        if not isinstance(properties, dict) or not properties:
            if additional is not False:
                raise TranslationError(self.param, FREE.format(where=where))
            properties = {}
        elif additional not in (None, False):
            self._drop("additionalProperties")
        made["properties"] = {
            name: self._schema(inner, f"property {describe(name)}", depth + 1) for name, inner in properties.items()
        }
        made["additionalProperties"] = False
        if isinstance(required, list):
            made["required"] = required
        self.optional += len(properties.keys() - set(required if isinstance(required, list) else ()))

    def _array(self, rest: Json, made: Json, where: str, depth: int) -> None:
        items = rest.pop("items", None)
        if items is not None:
            made["items"] = self._schema(items, f"the items of {where}", depth + 1)
        if rest.get("minItems") in (0, 1):
            made["minItems"] = rest.pop("minItems")

    def _describe(self, rest: Json, made: Json) -> None:
        """Move what is left into the description."""
        if not rest:
            return
        for name in rest.keys() - ANNOTATIONS:
            self._drop(name)
        mentioned = ", ".join(f"{name}: {_shown(value)}" for name, value in rest.items())
        said = made.get("description")
        made["description"] = f"{said}\n\n{{{mentioned}}}" if isinstance(said, str) and said else f"{{{mentioned}}}"

    def _drop(self, name: str) -> None:
        self.dropped[f"{self.param}.{name}"] = None


# Members that are about values of some types only.
NUMBERS = ("integer", "number")
BELONG = {
    **dict.fromkeys(("properties", "additionalProperties", "required", "patternProperties"), ("object",)),
    **dict.fromkeys(("minProperties", "maxProperties", "propertyNames"), ("object",)),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"), ("array",)),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), ("string",)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), NUMBERS),
}


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value[:MAX_MENTIONED]
    return json.dumps(value).decode()[:MAX_MENTIONED]
