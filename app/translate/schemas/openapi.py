"""Schemas as Gemini's `responseSchema` takes them, a subset of OpenAPI's (ai.google.dev/api/caching#Schema)."""

from typing import Any

from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json
from app.translate.schemas.convert import (
    ANNOTATIONS,
    MAX_DEPTH,
    Converted,
    Inlining,
    no_recursion,
    remembering,
    too_deep,
    without_definitions,
)

SAME = frozenset(
    {"title", "description", "format", "pattern", "minimum", "maximum", "minLength", "maxLength"}
    | {"minItems", "maxItems", "minProperties", "maxProperties", "required", "nullable", "propertyOrdering"}
)
NULL = "null"


@remembering
def convert(schema: Json, param: str) -> Converted:
    """Convert a schema. Raises TranslationError that names `param` when OpenAPI's subset has no equivalent."""
    whole = Inlining(schema, param, recursive=no_recursion(param)).inlined(without_definitions(schema))
    conversion = _Conversion(param)
    converted = conversion.schema(whole, "the schema", 0)
    return Converted(converted, tuple(conversion.dropped))


class _Conversion:
    def __init__(self, param: str) -> None:
        self.param = param
        self.dropped: dict[str, None] = {}

    def schema(self, node: Any, where: str, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise too_deep(self.param)
        if not isinstance(node, dict):
            raise TranslationError(self.param, f"{where} must be a schema.")
        made: Json = {}
        kinds = self._kinds(node)
        variants = next((node[name] for name in ("anyOf", "oneOf") if isinstance(node.get(name), list)), None)
        if variants is not None:
            self._variants(variants, made, where, depth)
        elif len(kinds) > 1:
            self._variants([{**node, "type": kind} for kind in kinds], made, where, depth)
            return self._nullable(node, made)
        elif kinds:
            made["type"] = kinds[0].upper()
        for name, value in node.items():
            self._member(name, value, made, where, depth)
        if made.get("type") == "OBJECT" and not made.get("properties"):
            raise TranslationError(self.param, f"{where} must list its properties: Gemini's batches need them.")
        return self._nullable(node, made)

    def _kinds(self, node: Json) -> list[str]:
        """Return the types of a schema except null."""
        kind = node.get("type")
        kinds = kind if isinstance(kind, list) else [kind] if isinstance(kind, str) else []
        if not kinds:
            kinds = ["object"] if "properties" in node else ["array"] if "items" in node else []
        if not kinds and ("enum" in node or "const" in node):
            kinds = ["string"]
        return [kind for kind in kinds if isinstance(kind, str) and kind != NULL]

    def _nullable(self, node: Json, made: Json) -> Json:
        kind = node.get("type")
        if kind == NULL:
            return {"type": "NULL"}
        if isinstance(kind, list) and NULL in kind:
            made["nullable"] = True
        return made

    def _variants(self, variants: list[Any], made: Json, where: str, depth: int) -> None:
        others = [item for item in variants if not (isinstance(item, dict) and item.get("type") == NULL)]
        converted = [self.schema(item, where, depth + 1) for item in others]
        if len(others) < len(variants):
            made["nullable"] = True
        if len(converted) == 1:
            made |= converted[0]
        elif converted:
            made["anyOf"] = converted

    def _member(self, name: str, value: Any, made: Json, where: str, depth: int) -> None:
        if name in SAME:
            made[name] = value
        elif name == "properties" and isinstance(value, dict):
            made[name] = {
                key: self.schema(inner, f"property {describe(key)}", depth + 1) for key, inner in value.items()
            }
            if len(value) > 1:
                made.setdefault("propertyOrdering", list(value))
        elif name == "items":
            made[name] = self.schema(value, f"the items of {where}", depth + 1)
        elif name in ("enum", "const"):
            self._values(value if name == "enum" else [value], made, name)
        elif name == "allOf" and isinstance(value, list) and len(value) == 1:
            made |= self.schema(value[0], where, depth + 1)
        elif name == "allOf":
            raise TranslationError(
                self.param, f"{where} must not combine schemas with allOf: Gemini's batches take none."
            )
        elif not (name in SILENT or (name == "additionalProperties" and value is False)):
            self.dropped[f"{self.param}.{name}"] = None

    def _values(self, values: Any, made: Json, name: str) -> None:
        """Write the permitted values; Gemini lists only strings, and null apart from them."""
        if isinstance(values, list) and None in values:
            made["nullable"] = True
            values = [value for value in values if value is not None]
        if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
            made["enum"] = values
        else:
            self.dropped[f"{self.param}.{name}"] = None


SILENT = ANNOTATIONS | {"type", "anyOf", "oneOf"}
