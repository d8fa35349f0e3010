"""Convert a chat answer to a Response object of the Responses API."""

from collections.abc import Mapping
from typing import Any

from app.translate.chat.answers import ABORTED, finish_of
from app.translate.errors import AbortedAnswerError, UnexpectedAnswerError
from app.translate.neutral import Json

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def from_chat(chat: Mapping[str, Any], *, request: Mapping[str, Any], response_id: str, now_s: int) -> Json:
    """Convert `chat`, the answer to the translated `request`, to a Response that answers `request`.

    `now_s` (Unix seconds) is used when the chat answer carries no time. Raises UnexpectedAnswerError.
    """
    choice = _choice(chat)
    if str(choice.get("finish_reason")) in ABORTED:
        raise AbortedAnswerError(f"finish_reason {choice['finish_reason']}")
    reason = INCOMPLETE.get(finish_of(choice.get("finish_reason")))
    created = chat.get("created")
    created_at = created if type(created) is int and created > 0 else now_s
    item_id = response_id.removeprefix("resp_")
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else now_s,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": chat["model"] if isinstance(chat.get("model"), str) else request.get("model"),
        "output": _output(choice["message"], choice.get("logprobs"), item_id, is_incomplete=reason is not None),
        "previous_response_id": None,
        # The gateway stores no Response for later retrieval, whatever the request says.
        "store": False,
        "usage": _usage(chat.get("usage")),
        **_echo(request),
    }


def _choice(chat: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = chat.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not isinstance(choice.get("message"), Mapping):
        raise UnexpectedAnswerError("The provider's chat answer has no message.")
    return choice


def _output(message: Mapping[str, Any], logprobs: Any, item_id: str, *, is_incomplete: bool) -> list[Json]:
    status = "incomplete" if is_incomplete else "completed"
    output: list[Json] = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        content = [{"type": "reasoning_text", "text": reasoning}]
        output.append({"type": "reasoning", "id": f"rs_{item_id}", "summary": [], "content": content})
    parts = _parts(message, logprobs)
    calls = message.get("tool_calls") or []
    if parts or not calls:
        output_parts = parts or [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
        item = {"type": "message", "id": f"msg_{item_id}", "role": "assistant", "status": status}
        output.append({**item, "content": output_parts})
    if not isinstance(calls, list):
        raise UnexpectedAnswerError("The provider's chat answer has tool_calls that are not a list.")
    return [*output, *(_call(call, f"fc_{item_id}{index}", status) for index, call in enumerate(calls))]


def _parts(message: Mapping[str, Any], logprobs: Any) -> list[Json]:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    if content is not None and not isinstance(content, str):
        raise UnexpectedAnswerError("The provider's chat answer has content that is not text.")
    parts: list[Json] = []
    if content:
        parts.append({"type": "output_text", "text": content, "annotations": [], "logprobs": _logprobs(logprobs)})
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return parts


def _call(call: Any, item_id: str, status: str) -> Json:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UnexpectedAnswerError("The provider's chat answer has a tool call without a function.")
    arguments = function.get("arguments")
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call["id"] if isinstance(call.get("id"), str) and call["id"] else item_id,
        "name": function["name"],
        "arguments": arguments if isinstance(arguments, str) else "{}",
        "status": status,
    }


def _logprobs(logprobs: Any) -> list[Json]:
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    try:
        return [
            {**_logprob(token), "top_logprobs": [_logprob(other) for other in token.get("top_logprobs") or []]}
            for token in tokens or []
        ]
    except (TypeError, ValueError, KeyError, AttributeError):
        return []  # some servers return malformed logprobs; the answer without them is still useful


def _logprob(token: Mapping[str, Any]) -> Json:
    text = str(token["token"])
    utf8 = token.get("bytes")
    return {
        "token": text,
        "bytes": utf8 if isinstance(utf8, list) else list(text.encode()),
        "logprob": float(token["logprob"]),
    }


def _usage(usage: Any) -> Json | None:
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    cached = _count(usage.get("prompt_tokens_details"), "cached_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {
            "reasoning_tokens": _count(usage.get("completion_tokens_details"), "reasoning_tokens")
        },
        "total_tokens": _count(usage, "total_tokens") or prompt + completion,
    }


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _echo(request: Mapping[str, Any]) -> Json:
    """Return the request fields that a Response repeats, with the API's defaults."""
    reasoning = request.get("reasoning") or {}
    return {
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "metadata": request.get("metadata") or {},
        "parallel_tool_calls": request.get("parallel_tool_calls", True) is not False,
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "service_tier": "default",
        "temperature": request.get("temperature"),
        "text": {"format": {"type": "text"}, **(request.get("text") or {})},
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_logprobs": request.get("top_logprobs") or 0,
        "top_p": request.get("top_p"),
        "truncation": "disabled",
        "user": request.get("user"),
    }
