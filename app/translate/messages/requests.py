"""Write requests of Anthropic's Messages; `read` is their reader (contracts: providers, 28.1)."""

from typing import Any, cast

from app.translate.errors import TranslationError
from app.translate.messages import settings as messages_settings
from app.translate.messages import tools as messages_tools
from app.translate.messages.blocks import Flavour, write_blocks, write_result
from app.translate.messages.models import traits
from app.translate.messages.reading import read as read
from app.translate.messages.settings import DEFAULT_MAX_TOKENS
from app.translate.neutral import Json, Part, Request, Role, ToolResult, Turn, Written

VERSIONS = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}


def write(request: Request, *, flavour: Flavour = "anthropic") -> Written:
    """Write a request. At Bedrock and Vertex the job or URL names the model, so the body does not.

    Raises TranslationError that names what Claude does not support.
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
    has_parts = False
    for turn in request.turns:
        role, content = turn
        if type(content) is str and role != last:
            # Anthropic rejects whitespace-only text.
            if not content or content.isspace():
                continue
            if role == "system":
                system.append(content)
            else:
                messages.append({"role": role, "content": content})
                last = role
        else:
            has_parts = True
            last = _add_turn(turn, messages, system, flavour, dropped) or last
    if system:
        body["system"] = system[0] if len(system) == 1 else [{"type": "text", "text": text} for text in system]
    if not messages:
        raise TranslationError("messages", "Claude needs at least one non-empty user message.")
    if last == "assistant":
        _write_prefill(request, messages)
    if has_parts and not request.tools and traits(request.model).history_needs_tools:
        messages_tools.declare(request, body)
    if request.tools or settings:
        messages_settings.write(request, body, flavour, dropped)
    return Written(body, dropped)


def _add_turn(turn: Turn, messages: list[Json], system: list[str], flavour: Flavour, dropped: list[str]) -> Role | None:
    """Add a turn that is not plain text or continues the last message; returns the role of the message, if any."""
    role, content = turn
    if role == "system":
        system += _texts(cast("str | list[Part]", content))
        return None
    blocks: list[Json]
    if isinstance(content, ToolResult):
        role, blocks = "user", [write_result(content, flavour, dropped)]
    else:
        blocks = write_blocks(role, [content] if isinstance(content, str) else content, flavour, dropped)
    if not blocks:
        return None
    if not messages or messages[-1]["role"] != role:
        messages.append({"role": role, "content": _unwrap(blocks)})
        return role
    content_before = messages[-1]["content"]
    if isinstance(content_before, str):
        content_before = [{"type": "text", "text": content_before}]
    # Tool results must come first in their message.
    if isinstance(content, ToolResult):
        place = sum(block["type"] == "tool_result" for block in content_before)
    else:
        place = len(content_before)
    messages[-1]["content"] = [*content_before[:place], *blocks, *content_before[place:]]
    return role


def _unwrap(blocks: list[Json]) -> Any:
    """Return a string for a single text block, else the blocks."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def _texts(content: "str | list[Part]") -> list[str]:
    parts = [content] if isinstance(content, str) else content
    if not all(isinstance(part, str) for part in parts):
        raise TranslationError("messages", "system messages must be text.")
    return [part for part in parts if isinstance(part, str) and part and not part.isspace()]


def _write_prefill(request: Request, messages: list[Json]) -> None:
    """Prepare a final assistant message, which the model continues. It must not end with whitespace."""
    if not traits(request.model).prefill:
        raise TranslationError("messages", f"{request.model} does not continue a final assistant message (prefill).")
    spec = request.settings.get("response_format")
    if spec is not None and spec.schema:
        raise TranslationError("response_format", "Claude takes no schema with a final assistant message to continue.")
    content = messages[-1]["content"]
    if isinstance(content, str):
        messages[-1]["content"] = content.rstrip()
    elif content[-1]["type"] == "text":
        content[-1] = {"type": "text", "text": content[-1]["text"].rstrip()}
