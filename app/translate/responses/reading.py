"""Read answers of the Responses API (contracts: providers, 2.3), as a batch of /v1/responses lines has them."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Finish, Part, Refusal, Thinking, ToolCall, Usage

FINISHES: dict[str, Finish] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def read(body: Any) -> Answer:
    """Read a Response. What only this API has (calls of its own tools, annotations) is left out.

    Raises UnexpectedAnswerError.
    """
    output = body.get("output") if isinstance(body, dict) else None
    if not isinstance(output, list):
        raise UnexpectedAnswerError("The provider's response has no output.")
    parts = [part for item in output for part in _parts(item)]
    created, model, answer_id = body.get("created_at"), body.get("model"), body.get("id")
    return Answer(
        [Choice(parts, _finish(body, parts))],
        _usage(body.get("usage")),
        answer_id if isinstance(answer_id, str) else "",
        model if isinstance(model, str) else "",
        int(created) if type(created) in (int, float) else None,
    )


def _parts(item: Any) -> Iterator[Part]:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "message":
        for content in _list(item.get("content")):
            if isinstance(content.get("text"), str) and content.get("type") == "output_text":
                yield content["text"]
            elif isinstance(content.get("refusal"), str):
                yield Refusal(content["refusal"])
    elif kind == "reasoning":
        texts = [*_list(item.get("content")), *_list(item.get("summary"))]
        if text := "".join(part["text"] for part in texts if isinstance(part.get("text"), str)):
            yield Thinking(text)
    elif kind == "function_call":
        name, arguments, call_id = item.get("name"), item.get("arguments"), item.get("call_id")
        if not isinstance(name, str) or not isinstance(arguments, str):
            raise UnexpectedAnswerError("The provider's response has a function_call without a name and arguments.")
        yield ToolCall(call_id if isinstance(call_id, str) else "", name, arguments)


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _finish(body: Mapping[str, Any], parts: list[Part]) -> Finish:
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if isinstance(reason, str) and reason in FINISHES:
        return FINISHES[reason]
    return "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    cached = _count(usage.get("input_tokens_details"), "cached_tokens")
    reasoning = _count(usage.get("output_tokens_details"), "reasoning_tokens")
    given, made = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    return Usage(given, cached, made, reasoning, _count(usage, "total_tokens") or given + made)


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and value > 0 else 0
