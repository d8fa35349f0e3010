"""Requests of Gemini's generateContent, at its Developer API and at Vertex (contracts: providers, 28.3)."""

from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini import settings
from app.translate.gemini.parts import Flavour, Names, parts_of, result, text_parts
from app.translate.neutral import Json, Request, ToolResult, Written

ROLES: dict[Any, str] = {"user": "user", "assistant": "model", "tool": "user", "system": "system"}


def write(request: Request, *, flavour: Flavour = "gemini") -> Written:
    """The request as a GenerateContentRequest without its model, which the address or the job names.

    Raises TranslationError naming what it cannot say.
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
            # A text that is empty is refused.
            if not content:
                continue
            parts: list[Json] = [{"text": content}]
        else:
            if names is None:
                names = Names()
            if isinstance(content, ToolResult):
                parts = [result(content, request.model, flavour, names, dropped)]
            else:
                parts = parts_of(role, text_parts(content), request.model, flavour, names, dropped)
            if not parts:
                continue
        own = ROLES[role]
        if own == "system":
            system += parts
        elif own == last:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": own, "parts": parts})
            last = own
    if not contents:
        raise TranslationError("messages", "Gemini needs at least one turn of the user that is not empty.")
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools or request.settings:
        settings.write(request, body, dropped)
    return Written(body, dropped)
