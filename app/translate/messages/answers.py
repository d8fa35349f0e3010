"""Answers of Anthropic's Messages, read and written (contracts: providers, 28.1)."""

import re
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.messages.blocks import arguments, call_id
from app.translate.neutral import (
    Answer,
    Choice,
    Finish,
    Json,
    Part,
    Refusal,
    Thinking,
    ToolCall,
    Usage,
)

FINISHES: dict[Any, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
REASONS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
NOT_AN_ID = re.compile(r"[^a-zA-Z0-9_-]+", re.ASCII)


def read(body: Any, *, created: int | None = None) -> Answer:
    """The answer in a message, which itself does not tell when it was `created` (Unix seconds).

    Raises UnexpectedAnswerError.
    """
    content = body.get("content") if type(body) is dict else None
    if type(content) is not list:
        raise UnexpectedAnswerError("The provider's message has no content.")
    parts: list[Part] = []
    for block in content:
        if type(block) is dict and block.get("type") == "text" and type(block.get("text")) is str:
            parts.append(block["text"])
        elif (part := _part(block)) is not None:
            parts.append(part)
    reason, stop, model, name = body.get("stop_reason"), body.get("stop_sequence"), body.get("model"), body.get("id")
    return Answer(
        [Choice(parts, _finish(reason), stop if type(stop) is str else None)],
        read_usage(body.get("usage")),
        name if type(name) is str else "",
        model if type(model) is str else "",
        created,
    )


def read_usage(told: Any) -> Usage:
    """The tokens that a message tells; its input tokens do not count the cached ones."""
    if type(told) is not dict:
        return Usage()
    cached = _count(told, "cache_read_input_tokens")
    given = _count(told, "input_tokens") + _count(told, "cache_creation_input_tokens") + cached
    made = _count(told, "output_tokens")
    thought = _count(told.get("output_tokens_details"), "thinking_tokens")
    return Usage(given, cached, made, thought, given + made)


def write(answer: Answer, *, answer_id: str, model: str) -> Json:
    """The first choice of the answer as a message.

    `answer_id` and `model` stand in for what the provider does not tell. Raises UnexpectedAnswerError.
    """
    if not answer.choices:
        raise UnexpectedAnswerError("The provider's answer has no choices.")
    choice, usage = answer.choices[0], answer.usage
    reason = REASONS[choice.finish]
    content = [block for number, part in enumerate(choice.parts) if (block := _block(part, answer_id, number))]
    stop = choice.stop_sequence if choice.finish == "stop" else None
    return {
        "id": _message_id(answer.id or answer_id),
        "type": "message",
        "role": "assistant",
        "model": answer.model or model,
        "content": content,
        "stop_reason": reason if stop is None else "stop_sequence",
        "stop_sequence": stop,
        "usage": {
            "input_tokens": max(usage.input_tokens - usage.cached_tokens, 0),
            "output_tokens": usage.output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        },
    }


def _finish(reason: Any) -> Finish:
    return FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"


def _part(block: Any) -> Part | None:
    """A block that is more than text; None for what no other dialect has, such as results of Anthropic's own tools."""
    kind = block.get("type") if type(block) is dict else None
    if type(kind) is not str:
        raise UnexpectedAnswerError("The provider's message has content that is no block.")
    if kind == "tool_use":
        name, given = block.get("name"), block.get("input")
        if type(name) is not str or type(given) is not dict:
            raise UnexpectedAnswerError("The provider's message has a tool_use block without a name and an input.")
        return ToolCall(str(block.get("id") or ""), name, given)
    if kind == "thinking" and type(block.get("thinking")) is str:
        signature = block.get("signature")
        return Thinking(block["thinking"], signature if type(signature) is str else None)
    if kind == "redacted_thinking" and type(block.get("data")) is str:
        return Thinking("", redacted=block["data"])
    if kind in ("text", "thinking", "redacted_thinking"):
        raise UnexpectedAnswerError(f"The provider's message has a block of type {kind} without its content.")
    return None


def _block(part: Part, answer_id: str, number: int) -> Json | None:
    if isinstance(part, str):
        return {"type": "text", "text": part, "citations": None} if part else None
    if isinstance(part, ToolCall):
        try:
            given = arguments(part)
        except TranslationError as error:
            raise UnexpectedAnswerError(str(error)) from error
        name = call_id(part.id) if part.id else f"toolu_{answer_id}_{number}"
        return {"type": "tool_use", "id": name, "name": part.name, "input": given}
    if isinstance(part, Thinking):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text, "citations": None} if part.text else None
    raise UnexpectedAnswerError(f"The answer holds {part.kind} data, which a message has no place for.")


def _message_id(given: str) -> str:
    if given.startswith("msg_"):
        return given
    return "msg_" + NOT_AN_ID.sub("_", given.removeprefix("chatcmpl-"))


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if type(holder) is dict else None
    return value if type(value) is int and value >= 0 else 0
