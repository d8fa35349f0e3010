"""Answers of Amazon's Converse, and of Nova's InvokeModel, which are the same (contracts: providers, 28.2)."""

from typing import Any

from app.lib import json
from app.translate.converse.settings import ANSWER_TOOL
from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Finish, Part, Thinking, ToolCall, Usage

FINISHES: dict[Any, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def read(body: Any, *, created: int | None = None) -> Answer:
    """The answer; `created` is in Unix seconds, as it does not tell. Raises UnexpectedAnswerError."""
    output = body.get("output") if isinstance(body, dict) else None
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        raise UnexpectedAnswerError("The provider's answer has no message.")
    parts: list[Part] = []
    answers: list[Part] = []
    for block in content:
        _add(block, parts, answers)
    if answers:
        # What was said beside an answer in JSON is no part of it, but thought aloud.
        parts = [*(Thinking(part) if isinstance(part, str) else part for part in parts), *answers]
    reason = body.get("stopReason")
    finish: Finish = FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"
    if finish == "tool_calls" and not any(isinstance(part, ToolCall) for part in parts):
        finish = "stop"  # the tool was that of the answer
    return Answer([Choice(parts, finish)], usage_of(body.get("usage")), created=created)


def usage_of(told: Any) -> Usage:
    """The tokens; what came from a cache or went there counts as input, too."""
    cached = count(told, "cacheReadInputTokens") or count(told, "cacheReadInputTokenCount")
    written = count(told, "cacheWriteInputTokens") or count(told, "cacheWriteInputTokenCount")
    given, made = count(told, "inputTokens") + cached + written, count(told, "outputTokens")
    return Usage(
        input_tokens=given,
        cached_tokens=cached,
        output_tokens=made,
        total_tokens=max(count(told, "totalTokens"), given + made),
    )


def count(holder: Any, name: str) -> int:
    """The whole number under `name`, or 0."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _add(block: Any, parts: list[Part], answers: list[Part]) -> None:
    if not isinstance(block, dict):
        raise UnexpectedAnswerError("The provider's answer has a block that is no object.")
    if isinstance(block.get("text"), str):
        parts.append(block["text"])
        return
    call = block.get("toolUse")
    if call is not None:
        _add_call(call, parts, answers)
        return
    cited = block.get("citationsContent")
    if isinstance(cited, dict) and isinstance(cited.get("content"), list):
        parts += [
            piece["text"] for piece in cited["content"] if isinstance(piece, dict) and type(piece.get("text")) is str
        ]
        return
    thought = block.get("reasoningContent")
    text = thought.get("reasoningText") if isinstance(thought, dict) else None
    if isinstance(text, dict) and isinstance(text.get("text"), str):
        signature = text.get("signature")
        parts.append(Thinking(text["text"], signature if isinstance(signature, str) else None))
    elif isinstance(thought, dict) and isinstance(thought.get("redactedContent"), str):
        parts.append(Thinking("", redacted=thought["redactedContent"]))
    else:
        raise UnexpectedAnswerError(f"The provider's answer has a block of an unknown kind: {list(block)!r:.80}.")


def _add_call(call: Any, parts: list[Part], answers: list[Part]) -> None:
    name = call.get("name") if isinstance(call, dict) else None
    given = call.get("input") if isinstance(call, dict) else None
    if not isinstance(name, str) or not isinstance(given, dict | None) or not isinstance(call.get("toolUseId"), str):
        raise UnexpectedAnswerError("The provider's answer has a call without id, name or input.")
    if name == ANSWER_TOOL:
        try:
            answers.append(json.dumps(given or {}).decode())
        except json.JSONEncodeError as error:
            raise UnexpectedAnswerError("The provider's answer is nested too deep.") from error
    else:
        parts.append(ToolCall(call["toolUseId"], name, given or {}))
