"""Write requests of generateContent, for the Developer API and for Vertex (contracts: providers, 28.3)."""

from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini import settings
from app.translate.gemini.models import traits
from app.translate.gemini.parts import Flavour, Names, as_list, remove_call_ids, write_parts, write_result
from app.translate.neutral import Json, Request, ToolResult, Written

ROLES: dict[Any, str] = {"user": "user", "assistant": "model", "tool": "user", "system": "system"}


def write(request: Request, *, flavour: Flavour = "gemini", in_batch: bool = False) -> Written:
    """Write a GenerateContentRequest without its model, which the URL or the job names.

    `in_batch`: for a batch of the Developer API. Raises TranslationError that names what Gemini does not support.
    """
    contents: list[Json] = []
    system: list[Json] = []
    dropped = [*request.dropped]
    body: Json = {"contents": contents}
    names: Names | None = None
    last = ""
    for turn in request.turns:
        role, content = turn
        if type(content) is str:
            # Gemini rejects empty text.
            if not content:
                continue
            parts: list[Json] = [{"text": content}]
        else:
            if names is None:
                names = Names()
            if isinstance(content, ToolResult):
                parts = [write_result(content, request.model, flavour, names, dropped)]
            else:
                parts = write_parts(role, as_list(content), request.model, flavour, names, dropped)
            if not parts:
                continue
        own_role = ROLES[role]
        if own_role == "system":
            system += parts
        elif own_role == last:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": own_role, "parts": parts})
            last = own_role
    _check(request.model, contents)
    if names and flavour == "vertex" and not traits(request.model).call_ids_at_vertex:
        remove_call_ids(contents)
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools or request.settings:
        settings.write(request, body, dropped, in_batch=in_batch)
    return Written(body, dropped)


def _check(model: str, contents: list[Json]) -> None:
    """Raise TranslationError for a model that makes no text, or that refuses these contents."""
    takes = traits(model)
    if takes.output != "text":
        raise TranslationError("model", f"{model} makes {takes.output}, and only text is handed out.")
    if not contents:
        raise TranslationError("messages", "Gemini needs at least one non-empty user message.")
    if contents[-1]["role"] == "model" and not takes.prefill:
        raise TranslationError("messages", f"{model} does not continue a final assistant message.")
