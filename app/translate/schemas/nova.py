"""Schemas of tools as Amazon Nova takes them: at the top only a type, properties and what is required
(docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html). Definitions move to where they are used.
"""

from typing import Any

from app.translate.errors import TranslationError
from app.translate.neutral import Json
from app.translate.schemas.convert import (
    COMBINED,
    DEFINITIONS,
    IDENTITY,
    Converted,
    Inlining,
    remembering,
    without_definitions,
)

TOP = ("type", "properties", "required")
SILENT = IDENTITY | {"title", *DEFINITIONS}


@remembering
def convert(schema: Json, param: str) -> Converted:
    """Convert the schema of a tool. Raises TranslationError that names `param` when Nova has no equivalent.

    Where a definition contains itself, its inner occurrence becomes any object.
    """
    dropped: dict[str, None] = {}

    def any_object(name: str) -> Json:
        dropped[f"{param}.$ref"] = None
        return {"type": "object"}

    whole = Inlining(schema, param, recursive=any_object).inlined(without_definitions(schema))
    if whole.get("type", "object") != "object":
        raise TranslationError(param, "the schema must be of type object for this model.")
    if "properties" not in whole and any(member in whole for member in COMBINED):
        raise TranslationError(param, "the schema must have properties for this model, not anyOf, oneOf or allOf.")
    for name in whole:
        if name not in TOP and name not in SILENT:
            dropped[f"{param}.{name}"] = None
    made: Json = {"type": "object", "properties": _object(whole.get("properties"))}
    if isinstance(whole.get("required"), list):
        made["required"] = whole["required"]
    return Converted(made, tuple(dropped))


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
