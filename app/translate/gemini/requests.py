"""Write requests of generateContent, for the Developer API and for Vertex (contracts: providers, 28.3)."""

from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini import settings
from app.translate.gemini.parts import Flavour, Names, as_list, write_parts, write_result
from app.translate.neutral import Json, Request, ToolResult, Written

ROLES: dict[Any, str] = {"user": "user", "assistant": "model", "tool": "user", "system": "system"}


def write(request: Request, *, flavour: Flavour = "gemini") -> Written:
    """Write a GenerateContentRequest without its model, which the URL or the job names.

    Raises TranslationError that names what Gemini does not support.
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
    if not contents:
        raise TranslationError("messages", "Gemini needs at least one non-empty user message.")
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools or request.settings:
        settings.write(request, body, dropped)
    return Written(body, dropped)
