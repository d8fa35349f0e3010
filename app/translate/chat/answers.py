"""Read and write answers of OpenAI's Chat Completions (contracts: providers, 28.1 to 28.5)."""

from collections.abc import Mapping
from typing import Any

from app.translate.chat.turns import write_call
from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import (
    Answer,
    Choice,
    Finish,
    Json,
    Media,
    Part,
    Refusal,
    Thinking,
    ToolCall,
    Usage,
)

FINISHES: dict[Any, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# What servers that are compatible otherwise call these, in lower case; anything else is an end like any other.
FOREIGN_FINISHES: dict[str, Finish] = {
    **dict.fromkeys(("length_limit", "max_length", "max_output_tokens", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_call", "tool_use"), "tool_calls"),
    **dict.fromkeys(("blocklist", "content_filtered", "guardrail_intervened", "prohibited_content"), "content_filter"),
    **dict.fromkeys(("recitation", "refusal", "safety", "sensitive", "spii"), "content_filter"),
}
# The server gave up; what the model said before, if anything, is no answer.
ABORTED = frozenset({"error", "abort"})


def finish_of(reason: Any) -> Finish:
    """OpenAI's word for a finish reason of a chat completion, whoever wrote it."""
    if not isinstance(reason, str):
        return "stop"
    return FINISHES.get(reason) or FOREIGN_FINISHES.get(reason.lower(), "stop")


def write(answer: Answer, *, answer_id: str, model: str, now_s: int) -> Json:
    """Write the answer as a chat completion.

    `answer_id`, `model` and `now_s` (Unix seconds) replace values the provider does not return.
    Raises UnexpectedAnswerError.
    """
    usage = answer.usage
    return {
        "id": answer.id or f"chatcmpl-{answer_id}",
        "object": "chat.completion",
        "created": answer.created if answer.created is not None else now_s,
        "model": answer.model or model,
        "choices": [_write_choice(choice, index, f"call_{answer_id}") for index, choice in enumerate(answer.choices)],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }


def read(body: Any) -> Answer:
    """Read a chat completion. Raises UnexpectedAnswerError."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        raise UnexpectedAnswerError("The provider's chat answer has no choices.")
    created = body.get("created")
    return Answer(
        choices=[_read_choice(choice) for choice in choices],
        usage=_usage(body.get("usage")),
        id=body["id"] if isinstance(body.get("id"), str) else "",
        model=body["model"] if isinstance(body.get("model"), str) else "",
        created=created if type(created) is int else None,
    )


def _write_choice(choice: Choice, index: int, call_id_prefix: str) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    texts, thoughts, refusals = [], [], []
    calls: list[Json] = []
    for part in choice.parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, ToolCall):
            call = write_call(part)
            if not part.id:
                call["id"] = f"{call_id_prefix}_{index}_{len(calls)}"
            calls.append(call)
        elif isinstance(part, Thinking):
            thoughts.append(part.text)
        elif isinstance(part, Refusal):
            refusals.append(part.text)
        elif isinstance(part, Media):
            raise UnexpectedAnswerError(f"The answer contains {part.kind} data, which a chat completion cannot hold.")
    if texts or not (calls or refusals):
        message["content"] = "".join(texts)
    if refusals:
        message["refusal"] = "".join(refusals)
    if calls:
        message["tool_calls"] = calls
    if thinking := "".join(thoughts):
        message["reasoning_content"] = thinking
    return {"index": index, "message": message, "logprobs": choice.logprobs, "finish_reason": choice.finish}


def _read_choice(choice: Any) -> Choice:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise UnexpectedAnswerError("The provider's chat answer has a choice without a message.")
    parts: list[Part] = []
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thinking, str) and thinking:
        parts.append(Thinking(thinking))
    parts += _texts(message.get("content"))
    refusal, calls = message.get("refusal"), message.get("tool_calls")
    if isinstance(refusal, str) and refusal:
        parts.append(Refusal(refusal))
    if calls is not None and not isinstance(calls, list):
        raise UnexpectedAnswerError("The provider's chat answer has tool_calls that are not a list.")
    parts += [_read_call(call) for call in calls or []]
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason in ABORTED:
        return Choice(parts, aborted=(f"finish_reason {reason}",))
    return Choice(parts, finish_of(reason), logprobs=_logprobs(choice.get("logprobs")))


def _texts(content: Any) -> list[Part]:
    if content is None or isinstance(content, str):
        return [content] if content else []
    if not isinstance(content, list):
        raise UnexpectedAnswerError("The provider's chat answer has content that is not text.")
    return [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _read_call(call: Any) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        raise UnexpectedAnswerError("The provider's chat answer has a tool call without a function.")
    arguments, call_id = function.get("arguments"), call.get("id")
    return ToolCall(
        call_id if isinstance(call_id, str) else "", name, arguments if isinstance(arguments, str | dict) else "{}"
    )


def _logprobs(value: Any) -> Json | None:
    return value if isinstance(value, dict) else None


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    return Usage(
        input_tokens=prompt,
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        output_tokens=completion,
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        total_tokens=_count(usage, "total_tokens") or prompt + completion,
    )


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if type(value) is int and value >= 0 else 0
