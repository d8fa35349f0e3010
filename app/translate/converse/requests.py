"""Write requests of Converse and of Nova's InvokeModel, which differ little (contracts: providers, 28.2)."""

from typing import Any, cast

from app.translate.converse import settings
from app.translate.converse.blocks import finish_media, write_blocks, write_result
from app.translate.converse.settings import Style
from app.translate.errors import TranslationError
from app.translate.neutral import Json, Request, ToolResult, Written


def write(request: Request, *, style: Style) -> Written:
    """Write the request without its model, which the job names.

    Raises TranslationError that names what the model or mode does not support.
    """
    messages: list[Json] = []
    system: list[Json] = []
    dropped = [*request.dropped]
    body: Json = {"schemaVersion": "messages-v1", "messages": messages} if style == "nova" else {"messages": messages}
    last, is_plain = "", True
    for role, content in request.turns:
        if type(content) is str:
            # Bedrock rejects whitespace-only blocks.
            if not content or content.isspace():
                continue
            blocks: list[Json] = [{"text": content}]
        elif isinstance(content, ToolResult):
            blocks, is_plain = [write_result(content, dropped)], False
        else:
            blocks = write_blocks(role, cast("list[Any]", content), dropped, thoughts=style == "converse")
            is_plain = False
            if not blocks:
                continue
        own_role = "user" if role == "tool" else role
        if own_role == "system":
            system += blocks
        elif own_role == last:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": own_role, "content": blocks})
            last = own_role
    if not messages or messages[0]["role"] != "user":
        raise TranslationError("messages", "must start with a non-empty user message.")
    if system:
        if any("text" not in block for block in system):
            raise TranslationError("messages", "system messages must be text.")
        body["system"] = system
    called = [] if is_plain else _finish(request, messages, style)
    if request.settings or request.tools or called:
        settings.write(request, body, style, called, dropped)
    return Written(body, dropped)


def _finish(request: Request, messages: list[Json], style: Style) -> list[str]:
    """Check and complete messages that are more than text; returns the names of the tools that they call."""
    finish_media(messages, request.model)
    if style == "converse":
        _refuse_calls(messages)
    return [block["toolUse"]["name"] for said in messages for block in said["content"] if "toolUse" in block]


def _refuse_calls(messages: list[Json]) -> None:
    """Reject tool calls and results: they need their tools in the request, which batches of Converse do not support."""
    for message in messages:
        for block in message["content"]:
            if "toolUse" in block or "toolResult" in block:
                raise TranslationError(
                    "messages", "batches of Converse do not support tool calls; use the account's mode=invoke."
                )
