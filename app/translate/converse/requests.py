"""Requests of Amazon's Converse, and of Nova's InvokeModel, which differs in little (contracts: providers, 28.2)."""

from typing import Any, cast

from app.translate.converse import settings
from app.translate.converse.blocks import blocks, result
from app.translate.converse.settings import Style
from app.translate.errors import TranslationError
from app.translate.neutral import Json, Request, ToolResult, Written


def write(request: Request, *, style: Style) -> Written:
    """The request without its model, which the job names. Raises TranslationError naming what it cannot say."""
    messages: list[Json] = []
    system: list[Json] = []
    dropped = [*request.dropped]
    body: Json = {"schemaVersion": "messages-v1", "messages": messages} if style == "nova" else {"messages": messages}
    last, plain = "", True
    for role, content in request.turns:
        if type(content) is str:
            # Blocks of nothing but white space are refused.
            if not content or content.isspace():
                continue
            made: list[Json] = [{"text": content}]
        elif isinstance(content, ToolResult):
            made, plain = [result(content, dropped)], False
        else:
            made, plain = blocks(role, cast("list[Any]", content), dropped, thoughts=style == "converse"), False
            if not made:
                continue
        own = "user" if role == "tool" else role
        if own == "system":
            system += made
        elif own == last:
            messages[-1]["content"] += made
        else:
            messages.append({"role": own, "content": made})
            last = own
    if not messages or messages[0]["role"] != "user":
        raise TranslationError("messages", "the model needs a first turn of the user that is not empty.")
    if system:
        if any("text" not in block for block in system):
            raise TranslationError("messages", "what the system says must be text.")
        body["system"] = system
    if style == "converse" and not plain:
        _refuse_calls(messages)
    if request.settings or request.tools:
        settings.write(request, body, style, dropped)
    return Written(body, dropped)


def _refuse_calls(messages: list[Json]) -> None:
    """Calls and results go only with the tools that they are of, which batches of Converse take none of."""
    for message in messages:
        for block in message["content"]:
            if "toolUse" in block or "toolResult" in block:
                raise TranslationError(
                    "messages", "calls of tools go to no batch of Converse; use the model's own mode, invoke."
                )
