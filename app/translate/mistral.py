"""Requests and answers between OpenAI's dialect and Mistral's (contracts: providers, 28.4). Pure functions.

Mistral refuses a whole file for one field that it does not know, at any depth, so only what it knows goes out.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from app.lib import json

# Fields that mean the same under the same name.
SAME = (
    "messages",
    "model",
    "temperature",
    "top_p",
    "stop",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "prediction",
    "metadata",
    "prompt_cache_key",
    "service_tier",
    "reasoning_effort",
    "prompt_mode",
    "safe_prompt",
    "max_tokens",
    "random_seed",
)
# OpenAI's name of a field, and Mistral's.
RENAMED = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
EMBEDDING_FIELDS = ("model", "input", "metadata", "encoding_format", "output_dimension", "output_dtype")
MODERATION_FIELDS = ("model", "input", "metadata")
MESSAGE_FIELDS = {
    "system": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "tool_calls", "prefix"),
    "tool": ("role", "content", "tool_call_id", "name"),
}
PART_FIELDS = {"text": ("type", "text"), "image_url": ("type", "image_url")}
IMAGE_FIELDS = ("url", "detail")
CALL_FIELDS = ("id", "type", "function")
FUNCTION_FIELDS = ("name", "description", "strict", "parameters")
FORMAT_FIELDS = ("type", "json_schema")
SCHEMA_FIELDS = ("name", "description", "schema", "strict")
SERVICE_TIERS = ("auto", "standard_only")
# Mistral thinks or it does not.
EFFORTS = {"minimal": "none", "low": "high", "medium": "high", "xhigh": "high", "max": "high"}
NO_PARAMETERS = {"type": "object", "properties": {}}
MOST_TEMPERATURE = 1.5
ID_LENGTH = 9
FINISH_REASONS = {"model_length": "length", "error": "stop"}


def to_mistral(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's request in Mistral's dialect; what it does not know is left out."""
    made = _only(body, SAME)
    for name, own in RENAMED.items():
        if body.get(name) is not None:
            made[own] = body[name]
    if isinstance(made.get("temperature"), int | float):
        made["temperature"] = min(made["temperature"], MOST_TEMPERATURE)
    if made.get("service_tier") not in SERVICE_TIERS:
        made.pop("service_tier", None)
    if isinstance(made.get("reasoning_effort"), str):
        made["reasoning_effort"] = EFFORTS.get(made["reasoning_effort"], made["reasoning_effort"])
    for name in made.keys() & LISTS.keys():
        made[name] = _each(LISTS[name], made[name])
    for name in made.keys() & VALUES.keys():
        made[name] = VALUES[name](made[name])
    return made


def embedding_to_mistral(body: Mapping[str, Any]) -> dict[str, Any]:
    """An embedding's request in Mistral's dialect; what it does not know is left out."""
    made = _only(body, EMBEDDING_FIELDS)
    return made if body.get("dimensions") is None else {**made, "output_dimension": body["dimensions"]}


def moderation_to_mistral(body: Mapping[str, Any]) -> dict[str, Any]:
    """A moderation's request in Mistral's dialect; what it does not know is left out."""
    return _only(body, MODERATION_FIELDS)


def from_mistral(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's answer in OpenAI's dialect."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return dict(body)
    return {**body, "choices": [_choice(choice) if isinstance(choice, dict) else choice for choice in choices]}


def call_id(given: str) -> str:
    """An id of a tool call as Mistral wants them: 9 letters and digits, the same for the same id."""
    if len(given) == ID_LENGTH and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode()).hexdigest()[:ID_LENGTH]


# Requests.


def _only(holder: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The named members of `holder` that are there and not null."""
    return {name: holder[name] for name in names if holder.get(name) is not None}


def _each(change: Callable[[Mapping[str, Any]], dict[str, Any]], given: Any) -> Any:
    """The objects of a list, changed; what is no list stays as it is."""
    if not isinstance(given, list):
        return given
    return [change(item) if isinstance(item, dict) else item for item in given]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role = "system" if message.get("role") == "developer" else message.get("role")
    # A role that nobody knows is Mistral's to refuse.
    made = _only(message, MESSAGE_FIELDS.get(str(role), tuple(message)))
    if role is not None:
        made["role"] = role
    if isinstance(made.get("tool_call_id"), str):
        made["tool_call_id"] = call_id(made["tool_call_id"])
    for name in made.keys() & PARTS.keys():
        made[name] = _each(PARTS[name], made[name])
    return made


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    made = _only(call, CALL_FIELDS)
    if isinstance(made.get("id"), str):
        made["id"] = call_id(made["id"])
    if isinstance(made.get("function"), dict):
        made["function"] = _only(made["function"], ("name", "arguments"))
    return made


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a message: documents, sound and refusals have other forms; Mistral's own parts stay as they are."""
    kind = part.get("type")
    inner = part.get(kind) if isinstance(kind, str) else None
    if kind == "refusal":
        return {"type": "text", "text": inner}
    if kind == "image_url" and isinstance(inner, dict):
        return {"type": kind, "image_url": _only(inner, IMAGE_FIELDS)}
    if kind == "input_audio" and isinstance(inner, dict):
        return {"type": kind, "input_audio": inner.get("data")}
    if kind == "file" and isinstance(inner, dict):
        if inner.get("file_id"):
            return {"type": kind, "file_id": inner["file_id"]}
        return {"type": "document_url", "document_url": inner.get("file_data") or inner.get("file_url")}
    return _only(part, PART_FIELDS.get(str(kind), tuple(part)))


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool; one without parameters has an empty schema, which Mistral demands."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return dict(tool)
    return {"type": "function", "function": {"parameters": NO_PARAMETERS, **_only(function, FUNCTION_FIELDS)}}


def _choice_of_tool(choice: Any) -> Any:
    if choice == "required":
        return "any"
    function = choice.get("function") if isinstance(choice, dict) else None
    return {"type": "function", "function": _only(function, ("name",))} if isinstance(function, dict) else choice


def _format(wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    made = _only(wanted, FORMAT_FIELDS)
    if isinstance(made.get("json_schema"), dict):
        made["json_schema"] = _only(made["json_schema"], SCHEMA_FIELDS)
    return made


def _prediction(given: Any) -> Any:
    """A prediction, whose content is one text."""
    if not isinstance(given, dict):
        return given
    content = given.get("content")
    return {"type": "content", "content": _joined(content) if isinstance(content, list) else content}


# How fields with more fields within are changed: lists of objects, lists in a message, and others.
LISTS = {"messages": _message, "tools": _tool}
PARTS = {"tool_calls": _call, "content": _part}
VALUES = {"tool_choice": _choice_of_tool, "response_format": _format, "prediction": _prediction}


# Answers.


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    reason = choice.get("finish_reason")
    made = {**choice, "finish_reason": FINISH_REASONS.get(reason, reason) if isinstance(reason, str) else reason}
    message = choice.get("message")
    if isinstance(message, dict):
        made["message"] = _answered(message)
    return made


def _answered(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without what is null, its thinking beside its content."""
    made = dict(message)
    made.pop("prefix", None)
    calls = made.pop("tool_calls", None)
    if calls:
        made["tool_calls"] = [_called(call) for call in calls] if isinstance(calls, list) else calls
    content = made.get("content")
    if isinstance(content, list):
        made["content"] = _joined(content) or None
        thought = "".join(_thought(part) for part in content)
        if thought:
            made["reasoning_content"] = thought
    return made


def _called(call: Any) -> Any:
    """A tool call; its arguments may be an object where OpenAI has the JSON of it."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    try:
        written = arguments if isinstance(arguments, str) else json.dumps(arguments or {}).decode()
    except json.JSONEncodeError:  # whoever writes the whole answer meets the same
        return call
    made = {name: value for name, value in call.items() if name != "index"}
    return {**made, "type": "function", "function": {**function, "arguments": written}}


def _joined(parts: list[Any]) -> str:
    """The texts of `parts`, but for what was thought."""
    return "".join(_text(part) for part in parts if not (isinstance(part, dict) and part.get("type") == "thinking"))


def _thought(part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") != "thinking":
        return ""
    inner = part.get("thinking")
    if isinstance(inner, list):
        return "".join(_text(piece) for piece in inner)
    return inner if isinstance(inner, str) else ""


def _text(part: Any) -> str:
    found = part.get("text") if isinstance(part, dict) else None
    return found if isinstance(found, str) else ""
