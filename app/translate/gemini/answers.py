"""Read answers of Gemini's generateContent (contracts: providers, 28.3)."""

import hashlib
from datetime import datetime
from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.gemini.parts import SIGNED
from app.translate.neutral import Answer, Choice, Finish, Json, Media, Part, Thinking, ToolCall, Usage
from app.translate.schemas.answering import extract_answer

FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
}
# The model gave up; what it said before, if anything, is no answer.
ABORTED = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"}
    | {"MALFORMED_RESPONSE", "NO_IMAGE"}
)
CALL_ID_DIGITS = 24


def read(body: Any, *, created: int | None = None) -> Answer:
    """Read a GenerateContentResponse. `created` (Unix seconds) applies when the response carries no time.

    Raises UnexpectedAnswerError.
    """
    if type(body) is not dict:
        raise UnexpectedAnswerError("The provider's answer is not an object.")
    response_id, model = body.get("responseId"), body.get("modelVersion")
    answer_id = response_id if type(response_id) is str else ""
    candidates = body.get("candidates")
    if type(candidates) is list and candidates:
        choices = [_choice(candidate, answer_id, number) for number, candidate in enumerate(candidates)]
    elif _is_blocked(body.get("promptFeedback")):
        choices = [Choice([], "content_filter")]
    else:
        raise UnexpectedAnswerError("The provider's answer has neither candidates nor a block reason.")
    create_time = body.get("createTime")
    return Answer(
        choices,
        read_usage(body.get("usageMetadata")),
        answer_id,
        model if type(model) is str else "",
        created if create_time is None else _parse_time(create_time, created),
    )


def read_usage(usage: Any) -> Usage:
    """Read token counts. Gemini counts thinking tokens apart from output tokens; ours include them."""
    if type(usage) is not dict:
        return Usage()
    prompt = _count(usage, "promptTokenCount") + _count(usage, "toolUsePromptTokenCount")
    reasoning = _count(usage, "thoughtsTokenCount")
    output = _count(usage, "candidatesTokenCount") + reasoning
    total = _count(usage, "totalTokenCount") or prompt + output
    return Usage(prompt, _count(usage, "cachedContentTokenCount"), output, reasoning, total)


def _is_blocked(feedback: Any) -> bool:
    reason = feedback.get("blockReason") if type(feedback) is dict else None
    return type(reason) is str and bool(reason)


def _choice(candidate: Any, answer_id: str, number: int) -> Choice:
    if type(candidate) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a candidate that is not an object.")
    content = candidate.get("content") or {}
    candidate_parts = (content.get("parts") or []) if type(content) is dict else None
    if type(candidate_parts) is not list:
        raise UnexpectedAnswerError("The provider's answer has a candidate with invalid content.")
    parts: list[Part] = []
    for part in candidate_parts:
        # Fast path for plain text.
        if type(part) is dict and len(part) == 1 and type(part.get("text")) is str:
            parts.append(part["text"])
        else:
            _add_part(part, parts, f"{answer_id}:{number}")
    reason = candidate.get("finishReason")
    finish: Finish = FINISHES.get(reason, "stop") if type(reason) is str else "stop"
    if finish == "stop" and reason != "STOP" and type(reason) is str and (reason in ABORTED or not _says(parts)):
        detail = candidate.get("finishMessage")
        return Choice(parts, aborted=(reason, detail) if type(detail) is str else (reason,))
    if finish == "stop" and any(type(part) is ToolCall for part in parts):
        parts = extract_answer(parts)
        finish = "tool_calls" if any(type(part) is ToolCall for part in parts) else "stop"
    scores = candidate.get("logprobsResult")
    return Choice(parts, finish, logprobs=None if scores is None else _logprobs(scores))


def _says(parts: list[Part]) -> bool:
    """True if there is anything but thinking."""
    return any(part and not isinstance(part, Thinking) for part in parts)


def _add_part(part: Any, parts: list[Part], position: str) -> None:
    """Add a part other than plain text; drops what only Gemini has, such as the code it executed."""
    if type(part) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a part that is not an object.")
    if "functionCall" in part:
        signature = part.get("thoughtSignature")
        if type(signature) is str and signature:
            parts.append(Thinking("", SIGNED + signature))
        parts.append(_call(part["functionCall"], f"{position}:{len(parts)}"))
    elif "text" in part:
        text = part["text"]
        if type(text) is not str:
            raise UnexpectedAnswerError("The provider's answer has a text part that is not a string.")
        parts.append(Thinking(text) if part.get("thought") is True else text)
    elif "inlineData" in part:
        parts.append(_media(part["inlineData"]))


def _call(call: Any, position: str) -> ToolCall:
    name = call.get("name") if type(call) is dict else None
    args = (call.get("args") or {}) if type(call) is dict else None
    if type(name) is not str or not name or type(args) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a function call without a name and arguments.")
    call_id = call.get("id")
    if type(call_id) is not str or not call_id:
        call_id = (
            "call_" + hashlib.sha256(f"{position}:{name}".encode(errors="surrogatepass")).hexdigest()[:CALL_ID_DIGITS]
        )
    return ToolCall(call_id, name, args)


def _media(blob: Any) -> Media:
    media_type = blob.get("mimeType") if type(blob) is dict else None
    data = blob.get("data") if type(blob) is dict else None
    if type(media_type) is not str or type(data) is not str:
        raise UnexpectedAnswerError("The provider's answer has inline data without a media type.")
    return Media("image" if media_type.startswith("image/") else "audio", media_type=media_type, data=data)


def _logprobs(result: Any) -> Json:
    """Convert logprobs to the form of Chat Completions."""
    chosen, tops = _list(result, "chosenCandidates"), _list(result, "topCandidates")
    content = []
    for position, token in enumerate(chosen):
        top = _list(tops[position], "candidates") if position < len(tops) else []
        content.append({**_token(token), "top_logprobs": [_token(other) for other in top]})
    return {"content": content, "refusal": None}


def _list(holder: Any, name: str) -> list[Any]:
    items = holder.get(name, []) if type(holder) is dict else None
    if type(items) is not list:
        raise UnexpectedAnswerError("The provider's answer has invalid logprobs.")
    return items


def _token(candidate: Any) -> Json:
    token = candidate.get("token", "") if type(candidate) is dict else None
    score = candidate.get("logProbability", 0.0) if type(candidate) is dict else None
    if type(token) is not str or type(score) not in (float, int):
        raise UnexpectedAnswerError("The provider's answer has invalid logprobs.")
    return {"token": token, "logprob": score, "bytes": list(token.encode(errors="replace"))}


def _parse_time(text: Any, default: int | None) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return default


def _count(holder: Json, name: str) -> int:
    value = holder.get(name)
    return value if type(value) is int and value >= 0 else 0
