"""Chat completions between OpenAI's dialect and Mistral's (contracts: providers, 28.4). Pure functions.

Mistral refuses a whole file for one field that it does not know, so only what it knows goes out.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

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
MESSAGE_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name", "prefix")
MOST_TEMPERATURE = 1.5
ID_LENGTH = 9
FINISH_REASONS = {"model_length": "length", "error": "stop"}


def to_mistral(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's request in Mistral's dialect; what it does not know is left out."""
    made = {name: body[name] for name in SAME if body.get(name) is not None}
    for name, own in RENAMED.items():
        if body.get(name) is not None:
            made[own] = body[name]
    if isinstance(made.get("temperature"), int | float):
        made["temperature"] = min(made["temperature"], MOST_TEMPERATURE)
    if made.get("tool_choice") == "required":
        made["tool_choice"] = "any"
    if isinstance(made.get("messages"), list):
        made["messages"] = [_message(message) for message in made["messages"]]
    return made


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


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    made = {name: message[name] for name in MESSAGE_FIELDS if message.get(name) is not None}
    if made.get("role") == "developer":
        made["role"] = "system"
    if made.get("role") != "tool":
        made.pop("name", None)
    if isinstance(made.get("tool_call_id"), str):
        made["tool_call_id"] = call_id(made["tool_call_id"])
    if isinstance(made.get("tool_calls"), list):
        made["tool_calls"] = [_call(call) for call in made["tool_calls"]]
    if isinstance(made.get("content"), list):
        made["content"] = [_part(part) for part in made["content"]]
    return made


def _call(call: Any) -> Any:
    if isinstance(call, dict) and isinstance(call.get("id"), str):
        return {**call, "id": call_id(call["id"])}
    return call


def _part(part: Any) -> Any:
    """A part of a message: documents have another name."""
    file = part.get("file") if isinstance(part, dict) and part.get("type") == "file" else None
    if not isinstance(file, dict):
        return part
    if file.get("file_id"):
        return {"type": "file", "file_id": file["file_id"]}
    return {"type": "document_url", "document_url": file.get("file_data") or file.get("file_url")}


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
    if not made.get("tool_calls"):
        made.pop("tool_calls", None)
    content = made.get("content")
    if isinstance(content, list):
        made["content"] = "".join(_text(part) for part in content if not _thinks(part)) or None
        thought = "".join(_text(part) for part in content if _thinks(part))
        if thought:
            made["reasoning_content"] = thought
    return made


def _thinks(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "thinking"


def _text(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    inner = part.get("thinking")
    if isinstance(inner, list):
        return "".join(_text(piece) for piece in inner)
    found = inner if isinstance(inner, str) else part.get("text")
    return found if isinstance(found, str) else ""
