"""Answers of Gemini's generateContent (contracts: providers, 28.3)."""

import hashlib
from datetime import datetime
from typing import Any

from app.translate.errors import UnexpectedAnswerError
from app.translate.gemini.parts import SIGNED
from app.translate.neutral import Answer, Choice, Finish, Json, Media, Part, Thinking, ToolCall, Usage

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
ID_DIGITS = 24


def read(body: Any, *, created: int | None = None) -> Answer:
    """The answer in a GenerateContentResponse; `created` (Unix seconds) is for one that does not tell itself.

    Raises UnexpectedAnswerError.
    """
    if type(body) is not dict:
        raise UnexpectedAnswerError("The provider's answer is no object.")
    told_id, model = body.get("responseId"), body.get("modelVersion")
    answer_id = told_id if type(told_id) is str else ""
    candidates = body.get("candidates")
    if type(candidates) is list and candidates:
        choices = [_choice(candidate, answer_id, number) for number, candidate in enumerate(candidates)]
    elif _is_blocked(body.get("promptFeedback")):
        choices = [Choice([], "content_filter")]
    else:
        raise UnexpectedAnswerError("The provider's answer has no candidates, and does not say why.")
    moment = body.get("createTime")
    return Answer(
        choices,
        read_usage(body.get("usageMetadata")),
        answer_id,
        model if type(model) is str else "",
        created if moment is None else _seconds(moment, created),
    )


def read_usage(told: Any) -> Usage:
    """The tokens that an answer tells; those that were thought are told apart from those that were said."""
    if type(told) is not dict:
        return Usage()
    given = _count(told, "promptTokenCount") + _count(told, "toolUsePromptTokenCount")
    thought = _count(told, "thoughtsTokenCount")
    made = _count(told, "candidatesTokenCount") + thought
    total = _count(told, "totalTokenCount") or given + made
    return Usage(given, _count(told, "cachedContentTokenCount"), made, thought, total)


def _is_blocked(feedback: Any) -> bool:
    reason = feedback.get("blockReason") if type(feedback) is dict else None
    return type(reason) is str and bool(reason)


def _choice(candidate: Any, answer_id: str, number: int) -> Choice:
    if type(candidate) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a candidate that is no object.")
    content = candidate.get("content") or {}
    told = (content.get("parts") or []) if type(content) is dict else None
    if type(told) is not list:
        raise UnexpectedAnswerError("The provider's answer has a candidate whose content makes no sense.")
    parts: list[Part] = []
    for part in told:
        # The short way is for a text alone.
        if type(part) is dict and len(part) == 1 and type(part.get("text")) is str:
            parts.append(part["text"])
        else:
            _more(part, parts, f"{answer_id}:{number}")
    reason = candidate.get("finishReason")
    finish: Finish = FINISHES.get(reason, "stop") if type(reason) is str else "stop"
    if finish == "stop" and any(type(part) is ToolCall for part in parts):
        finish = "tool_calls"
    scores = candidate.get("logprobsResult")
    return Choice(parts, finish, logprobs=None if scores is None else _logprobs(scores))


def _more(part: Any, parts: list[Part], where: str) -> None:
    """Add a part that is more than a text; what no other dialect has, such as code that Gemini ran, is left out."""
    if type(part) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a part that is no object.")
    if "functionCall" in part:
        signature = part.get("thoughtSignature")
        if type(signature) is str and signature:
            parts.append(Thinking("", SIGNED + signature))
        parts.append(_call(part["functionCall"], f"{where}:{len(parts)}"))
    elif "text" in part:
        text = part["text"]
        if type(text) is not str:
            raise UnexpectedAnswerError("The provider's answer has a text that is none.")
        parts.append(Thinking(text) if part.get("thought") is True else text)
    elif "inlineData" in part:
        parts.append(_media(part["inlineData"]))


def _call(told: Any, where: str) -> ToolCall:
    name = told.get("name") if type(told) is dict else None
    args = (told.get("args") or {}) if type(told) is dict else None
    if type(name) is not str or not name or type(args) is not dict:
        raise UnexpectedAnswerError("The provider's answer has a call without a function's name and arguments.")
    told_id = told.get("id")
    if type(told_id) is not str or not told_id:
        told_id = "call_" + hashlib.sha256(f"{where}:{name}".encode(errors="surrogatepass")).hexdigest()[:ID_DIGITS]
    return ToolCall(told_id, name, args)


def _media(told: Any) -> Media:
    kind = told.get("mimeType") if type(told) is dict else None
    data = told.get("data") if type(told) is dict else None
    if type(kind) is not str or type(data) is not str:
        raise UnexpectedAnswerError("The provider's answer has data without its type.")
    return Media("image" if kind.startswith("image/") else "audio", media_type=kind, data=data)


def _logprobs(told: Any) -> Json:
    """As Chat Completions has them."""
    chosen, tops = _list(told, "chosenCandidates"), _list(told, "topCandidates")
    content = []
    for position, token in enumerate(chosen):
        top = _list(tops[position], "candidates") if position < len(tops) else []
        content.append({**_token(token), "top_logprobs": [_token(other) for other in top]})
    return {"content": content, "refusal": None}


def _list(holder: Any, name: str) -> list[Any]:
    found = holder.get(name, []) if type(holder) is dict else None
    if type(found) is not list:
        raise UnexpectedAnswerError("The provider's answer has logprobs that make no sense.")
    return found


def _token(told: Any) -> Json:
    token = told.get("token", "") if type(told) is dict else None
    score = told.get("logProbability", 0.0) if type(told) is dict else None
    if type(token) is not str or type(score) not in (float, int):
        raise UnexpectedAnswerError("The provider's answer has logprobs that make no sense.")
    return {"token": token, "logprob": score, "bytes": list(token.encode(errors="replace"))}


def _seconds(moment: Any, otherwise: int | None) -> int | None:
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _count(told: Json, name: str) -> int:
    value = told.get(name)
    return value if type(value) is int and value >= 0 else 0
