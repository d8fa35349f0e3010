"""Requests of Anthropic's Messages, read and written (contracts: providers, 28.1)."""

from typing import Any, cast

from app.translate.errors import TranslationError
from app.translate.messages import settings as messages_settings
from app.translate.messages.blocks import Flavour, blocks, result
from app.translate.messages.models import traits
from app.translate.messages.reading import read as read
from app.translate.messages.settings import DEFAULT_MAX_TOKENS
from app.translate.neutral import Json, Part, Request, Role, ToolResult, Turn, Written

VERSIONS = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}


def write(request: Request, *, flavour: Flavour = "anthropic") -> Written:
    """The request as a message's; the clouds' flavours have no model, which their jobs name.

    Raises TranslationError naming what it cannot say.
    """
    settings = request.settings
    limit = settings.get("max_tokens", DEFAULT_MAX_TOKENS)
    dropped = [*request.dropped]
    messages: list[Json] = []
    system: list[str] = []
    body: Json
    if flavour == "anthropic":
        body = {"model": request.model, "max_tokens": limit, "messages": messages}
    else:
        body = {"anthropic_version": VERSIONS[flavour], "max_tokens": limit, "messages": messages}
    last: Role | None = None
    for turn in request.turns:
        role, content = turn
        if type(content) is str and role != last:
            # Texts of nothing but white space are refused.
            if not content or content.isspace():
                continue
            if role == "system":
                system.append(content)
            else:
                messages.append({"role": role, "content": content})
                last = role
        else:
            last = _more(turn, messages, system, flavour, dropped) or last
    if system:
        body["system"] = system[0] if len(system) == 1 else [{"type": "text", "text": text} for text in system]
    if not messages:
        raise TranslationError("messages", "Claude needs at least one turn of the user that is not empty.")
    if last == "assistant":
        _prefill(request.model, messages)
    if request.tools or settings:
        messages_settings.write(request, body, flavour, dropped)
    return Written(body, dropped)


def _more(turn: Turn, messages: list[Json], system: list[str], flavour: Flavour, dropped: list[str]) -> Role | None:
    """Add a turn that is more than a text, or goes on with the one before it; the role of the last turn after it."""
    role, content = turn
    if role == "system":
        system += _texts(cast("str | list[Part]", content))
        return None
    found: list[Json]
    if isinstance(content, ToolResult):
        role, found = "user", [result(content, flavour, dropped)]
    else:
        found = blocks(role, [content] if isinstance(content, str) else content, flavour, dropped)
    if not found:
        return None
    if not messages or messages[-1]["role"] != role:
        messages.append({"role": role, "content": _plain(found)})
        return role
    before = messages[-1]["content"]
    known = [{"type": "text", "text": before}] if isinstance(before, str) else before
    # Results of tools must stand before all else in their turn.
    place = sum(block["type"] == "tool_result" for block in known) if isinstance(content, ToolResult) else len(known)
    messages[-1]["content"] = [*known[:place], *found, *known[place:]]
    return role


def _plain(found: list[Json]) -> Any:
    """A text alone, else the blocks."""
    return found[0]["text"] if len(found) == 1 and found[0]["type"] == "text" else found


def _texts(content: "str | list[Part]") -> list[str]:
    parts = [content] if isinstance(content, str) else content
    if not all(isinstance(part, str) for part in parts):
        raise TranslationError("messages", "what the system says must be text.")
    return [part for part in parts if isinstance(part, str) and part and not part.isspace()]


def _prefill(model: str, messages: list[Json]) -> None:
    """The model goes on with what the assistant said last, where it can; that may not end with white space."""
    if not traits(model).prefill:
        raise TranslationError("messages", f"{model} does not go on with a last turn of the assistant.")
    content = messages[-1]["content"]
    if isinstance(content, str):
        messages[-1]["content"] = content.rstrip()
    elif content[-1]["type"] == "text":
        content[-1] = {"type": "text", "text": content[-1]["text"].rstrip()}
