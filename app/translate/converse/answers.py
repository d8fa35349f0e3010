"""Read answers of Converse and of Nova's InvokeModel, which are the same (contracts: providers, 28.2)."""

from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, Finish, Part, Thinking, ToolCall, Usage
from app.translate.schemas.answering import extract_answer

FINISHES: dict[Any, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# The model gave up; what it said before, if anything, is no answer.
ABORTED = frozenset({"malformed_tool_use", "malformed_model_output"})


def read(body: Any, *, created: int | None = None) -> Answer:
    """Read an answer. It carries no time, so the caller passes `created` (Unix seconds).

    Raises UnexpectedAnswerError.
    """
    output = body.get("output") if isinstance(body, dict) else None
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        raise UnexpectedAnswerError("The provider's answer has no message.")
    parts: list[Part] = []
    usage, reason = read_usage(body.get("usage")), body.get("stopReason")
    if isinstance(reason, str) and (reason in ABORTED or (reason not in FINISHES and not content)):
        return Answer([Choice(parts, aborted=(reason,))], usage, created=created)
    for block in content:
        _add_block(block, parts)
    parts = extract_answer(parts)
    finish: Finish = FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"
    if finish == "tool_calls" and not any(isinstance(part, ToolCall) for part in parts):
        finish = "stop"  # the only call was to ANSWER_TOOL
    return Answer([Choice(parts, finish)], usage, created=created)


def read_usage(usage: Any) -> Usage:
    """Read token counts. Tokens read from or written to a cache count as input, too."""
    cached = count(usage, "cacheReadInputTokens") or count(usage, "cacheReadInputTokenCount")
    cache_writes = count(usage, "cacheWriteInputTokens") or count(usage, "cacheWriteInputTokenCount")
    prompt, output = count(usage, "inputTokens") + cached + cache_writes, count(usage, "outputTokens")
    return Usage(
        input_tokens=prompt,
        cached_tokens=cached,
        output_tokens=output,
        total_tokens=max(count(usage, "totalTokens"), prompt + output),
    )


def count(holder: Any, name: str) -> int:
    """Return the integer under `name`; 0 if it is missing or invalid."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int and 0 <= value < 2**63 else 0


def _add_block(block: Any, parts: list[Part]) -> None:
    if not isinstance(block, dict):
        raise UnexpectedAnswerError("The provider's answer has a block that is not an object.")
    if isinstance(block.get("text"), str):
        parts.append(block["text"])
        return
    call = block.get("toolUse")
    if call is not None:
        parts.append(_call(call))
        return
    cited = block.get("citationsContent")
    if isinstance(cited, dict) and isinstance(cited.get("content"), list):
        parts += [
            piece["text"] for piece in cited["content"] if isinstance(piece, dict) and type(piece.get("text")) is str
        ]
        return
    reasoning = block.get("reasoningContent")
    text = reasoning.get("reasoningText") if isinstance(reasoning, dict) else None
    if isinstance(text, dict) and isinstance(text.get("text"), str):
        signature = text.get("signature")
        parts.append(Thinking(text["text"], signature if isinstance(signature, str) else None))
    elif isinstance(reasoning, dict) and isinstance(reasoning.get("redactedContent"), str):
        parts.append(Thinking("", redacted=reasoning["redactedContent"]))
    else:
        raise UnexpectedAnswerError(f"The provider's answer has a block of an unknown kind: {list(block)!r:.80}.")


def _call(call: Any) -> ToolCall:
    name = call.get("name") if isinstance(call, dict) else None
    arguments = call.get("input") if isinstance(call, dict) else None
    call_id = call.get("toolUseId") if isinstance(call, dict) else None
    if not isinstance(name, str) or not isinstance(arguments, dict | None) or not isinstance(call_id, str):
        raise UnexpectedAnswerError("The provider's answer has a tool call without an id, a name or an input.")
    return ToolCall(call_id, name, arguments or {})
