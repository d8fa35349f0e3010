"""Read answers of Cohere's /v2/chat, of single calls and of batch rows (contracts: providers, 28.5).

Batch rows contain every field; missing values are null.
"""

from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Finish, Json, Part, Thinking, ToolCall, Usage
from app.translate.schemas.answering import extract_answer

FINISHES: dict[Any, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
# The other values of the SDK's `ChatFinishReason`: there is no answer. Mapped to the HTTP status of the failure.
FAILURES = {"ERROR": 500, "TIMEOUT": 504}


def read(body: Any, *, created: int | None = None) -> Answer:
    """Read an answer. Cohere returns no time, so the caller passes `created` (Unix seconds).

    Raises UnexpectedAnswerError.
    """
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict):
        raise UnexpectedAnswerError("Cohere's answer has no message.")
    reason = body.get("finish_reason")
    if failure(body) is not None:
        raise UnexpectedAnswerError(f"Cohere's answer has the finish reason {reason}.")
    finish: Finish = FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"
    parts = _parts(message)
    if (extracted := extract_answer(parts)) is not parts:
        parts = extracted
        finish = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
    choice = Choice(parts, finish, logprobs=_logprobs(body.get("logprobs")))
    answer_id = body.get("id")
    return Answer([choice], _usage(body.get("usage")), answer_id if type(answer_id) is str else "", created=created)


def failure(body: Any) -> int | None:
    """Return the HTTP status that explains why there is no answer, or None if there should be one."""
    reason = body.get("finish_reason") if isinstance(body, dict) else None
    return FAILURES.get(reason) if isinstance(reason, str) else None


def _parts(message: Json) -> list[Part]:
    parts: list[Part] = []
    plan = message.get("tool_plan")
    if type(plan) is str and plan:
        parts.append(Thinking(plan))
    content = message.get("content")
    if type(content) is str:
        parts.append(content)
    elif content is not None:
        parts += [_part(part) for part in _list(content, "content")]
    calls = message.get("tool_calls")
    if calls is not None:
        parts += [_call(call) for call in _list(calls, "tool_calls")]
    return parts


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnexpectedAnswerError(f"The {name} of Cohere's answer is not a list.")
    return value


def _part(part: Any) -> Part:
    if isinstance(part, dict):
        kind = part.get("type")
        text = part.get("text")
        if kind == "text" and type(text) is str:
            return text
        thinking = part.get("thinking")
        if kind == "thinking" and type(thinking) is str:
            return Thinking(thinking)
    raise UnexpectedAnswerError("Cohere's answer has a part that is neither text nor thinking.")


def _call(call: Any) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or type(name) is not str:
        raise UnexpectedAnswerError("Cohere's answer has a tool call without a function.")
    arguments, call_id = function.get("arguments"), call.get("id")
    return ToolCall(
        call_id if isinstance(call_id, str) else "", name, arguments if isinstance(arguments, str | dict) else "{}"
    )


def _logprobs(items: Any) -> Json | None:
    """Convert logprobs to the form of Chat Completions.

    Cohere groups several tokens into one item; the sum of their logprobs is the logprob of the whole item.
    """
    if not isinstance(items, list):
        return None
    content = []
    for item in items:
        text, values = (item.get("text"), item.get("logprobs")) if isinstance(item, dict) else (None, None)
        if type(text) is not str or not isinstance(values, list) or not set(map(type, values)) <= {float, int}:
            return None
        content.append({"token": text, "logprob": sum(values), "bytes": list(text.encode()), "top_logprobs": []})
    return {"content": content, "refusal": None}


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    tokens = usage.get("tokens") or usage.get("billed_units")
    prompt, output = count(tokens, "input_tokens"), count(tokens, "output_tokens")
    return Usage(prompt, count(usage, "cached_tokens"), output, 0, prompt + output)


def count(holder: Any, name: str) -> int:
    """Return a token count, which Cohere sends as a float; 0 if it is missing or invalid."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if type(value) is float and 0 <= value < 2**53:
        return int(value)
    return value if type(value) is int and 0 <= value < 2**53 else 0
