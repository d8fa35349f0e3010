"""Read and write answers of Anthropic's Messages (contracts: providers, 28.1)."""

import re
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.messages.blocks import parse_arguments, valid_call_id
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
from app.translate.schemas.answering import extract_answer

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
INVALID_ID_CHARS = re.compile(r"[^a-zA-Z0-9_-]+", re.ASCII)


def read(body: Any, *, created: int | None = None) -> Answer:
    """Read an answer. Messages carry no time, so the caller passes `created` (Unix seconds).

    Raises UnexpectedAnswerError.
    """
    content = body.get("content") if type(body) is dict else None
    if type(content) is not list:
        raise UnexpectedAnswerError("The provider's message has no content.")
    parts: list[Part] = []
    for block in content:
        if type(block) is dict and block.get("type") == "text" and type(block.get("text")) is str:
            parts.append(block["text"])
        elif (part := _read_block(block)) is not None:
            parts.append(part)
    finish = _finish(body.get("stop_reason"))
    if (extracted := extract_answer(parts)) is not parts:
        parts = extracted
        finish = "tool_calls" if any(type(part) is ToolCall for part in parts) else "stop"
    stop, model, answer_id = body.get("stop_sequence"), body.get("model"), body.get("id")
    return Answer(
        [Choice(parts, finish, stop if type(stop) is str else None)],
        read_usage(body.get("usage")),
        answer_id if type(answer_id) is str else "",
        model if type(model) is str else "",
        created,
    )


def read_usage(usage: Any) -> Usage:
    """Read token counts. Anthropic's `input_tokens` excludes cached tokens; ours includes them."""
    if type(usage) is not dict:
        return Usage()
    cached = _count(usage, "cache_read_input_tokens")
    prompt = _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens") + cached
    output = _count(usage, "output_tokens")
    reasoning = _count(usage.get("output_tokens_details"), "thinking_tokens")
    return Usage(prompt, cached, output, reasoning, prompt + output)


def write(answer: Answer, *, answer_id: str, model: str) -> Json:
    """Write the first choice of the answer as a message.

    `answer_id` and `model` replace values the provider does not return. Raises UnexpectedAnswerError.
    """
    if not answer.choices:
        raise UnexpectedAnswerError("The provider's answer has no choices.")
    choice, usage = answer.choices[0], answer.usage
    reason = REASONS[choice.finish]
    content = [block for number, part in enumerate(choice.parts) if (block := _write_block(part, answer_id, number))]
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


def _read_block(block: Any) -> Part | None:
    """Read a block other than text; None for blocks that only Anthropic has, such as results of its own tools."""
    kind = block.get("type") if type(block) is dict else None
    if type(kind) is not str:
        raise UnexpectedAnswerError("The provider's message has content that is not a block.")
    if kind == "tool_use":
        name, arguments = block.get("name"), block.get("input")
        if type(name) is not str or type(arguments) is not dict:
            raise UnexpectedAnswerError("The provider's message has a tool_use block without a name and an input.")
        return ToolCall(str(block.get("id") or ""), name, arguments)
    if kind == "thinking" and type(block.get("thinking")) is str:
        signature = block.get("signature")
        return Thinking(block["thinking"], signature if type(signature) is str else None)
    if kind == "redacted_thinking" and type(block.get("data")) is str:
        return Thinking("", redacted=block["data"])
    if kind in ("text", "thinking", "redacted_thinking"):
        raise UnexpectedAnswerError(f"The provider's message has a block of type {kind} without its content.")
    return None


def _write_block(part: Part, answer_id: str, number: int) -> Json | None:
    if isinstance(part, str):
        return {"type": "text", "text": part, "citations": None} if part else None
    if isinstance(part, ToolCall):
        try:
            arguments = parse_arguments(part)
        except TranslationError as error:
            raise UnexpectedAnswerError(str(error)) from error
        call_id = valid_call_id(part.id) if part.id else f"toolu_{answer_id}_{number}"
        return {"type": "tool_use", "id": call_id, "name": part.name, "input": arguments}
    if isinstance(part, Thinking):
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text, "citations": None} if part.text else None
    raise UnexpectedAnswerError(f"The answer contains {part.kind} data, which a message cannot hold.")


def _message_id(answer_id: str) -> str:
    if answer_id.startswith("msg_"):
        return answer_id
    return "msg_" + INVALID_ID_CHARS.sub("_", answer_id.removeprefix("chatcmpl-"))


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if type(holder) is dict else None
    return value if type(value) is int and value >= 0 else 0
