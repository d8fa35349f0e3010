"""Answers of Cohere's /v2/chat, from single lines and from rows of a batch (contracts: providers, 28.5).

What a row lacks is null there.
"""

from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Finish, Json, Part, Thinking, ToolCall, Usage

FINISHES: dict[Any, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
# The SDK's `ChatFinishReason` has these besides: what there is then is no answer. With the status that says so.
FAILED = {"ERROR": 500, "TIMEOUT": 504}


def read(body: Any, *, created: int | None = None) -> Answer:
    """The answer; `created` in Unix seconds, as Cohere tells no time. Raises UnexpectedAnswerError."""
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, dict):
        raise UnexpectedAnswerError("Cohere's answer has no message.")
    reason = body.get("finish_reason")
    if failure(body) is not None:
        raise UnexpectedAnswerError(f"Cohere ended the answer with {reason}.")
    finish: Finish = FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"
    choice = Choice(_parts(message), finish, logprobs=_logprobs(body.get("logprobs")))
    answer_id = body.get("id")
    return Answer([choice], _usage(body.get("usage")), answer_id if type(answer_id) is str else "", created=created)


def failure(body: Any) -> int | None:
    """The HTTP status that says why there is no answer; None when there should be one."""
    reason = body.get("finish_reason") if isinstance(body, dict) else None
    return FAILED.get(reason) if isinstance(reason, str) else None


def _parts(message: Json) -> list[Part]:
    parts: list[Part] = []
    plan = message.get("tool_plan")
    if type(plan) is str and plan:
        parts.append(Thinking(plan))
    content = message.get("content")
    if type(content) is str:
        parts.append(content)
    elif content is not None:
        parts += [_part(part) for part in _listed(content, "content")]
    calls = message.get("tool_calls")
    if calls is not None:
        parts += [_call(call) for call in _listed(calls, "tool_calls")]
    return parts


def _listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnexpectedAnswerError(f"The {name} of Cohere's answer is no list.")
    return value


def _part(part: Any) -> Part:
    if isinstance(part, dict):
        kind = part.get("type")
        text = part.get("text")
        if kind == "text" and type(text) is str:
            return text
        thought = part.get("thinking")
        if kind == "thinking" and type(thought) is str:
            return Thinking(thought)
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


def _logprobs(told: Any) -> Any:
    """As Chat Completions has them. A piece of several tokens is one there, as likely as all of them together."""
    if not isinstance(told, list):
        return None
    found = []
    for item in told:
        text, values = (item.get("text"), item.get("logprobs")) if isinstance(item, dict) else (None, None)
        if type(text) is not str or not isinstance(values, list) or not set(map(type, values)) <= {float, int}:
            return None
        found.append({"token": text, "logprob": sum(values), "bytes": list(text.encode()), "top_logprobs": []})
    return {"content": found, "refusal": None}


def _usage(told: Any) -> Usage:
    if not isinstance(told, dict):
        return Usage()
    tokens = told.get("tokens") or told.get("billed_units")
    given, made = count(tokens, "input_tokens"), count(tokens, "output_tokens")
    return Usage(given, count(told, "cached_tokens"), made, 0, given + made)


def count(holder: Any, name: str) -> int:
    """A number of tokens, which Cohere gives as a float; 0 when it is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if type(value) is float and 0 <= value < 2**53:
        return int(value)
    return value if type(value) is int and 0 <= value < 2**53 else 0
