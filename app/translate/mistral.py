"""Convert between OpenAI's dialect and Mistral's (contracts: providers, 28.4).

Mistral rejects a whole file for a single unknown field at any depth, so only fields that it knows are sent.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.lib import json
from app.translate.chat.answers import ABORTED, finish_of
from app.translate.errors import TranslationError
from app.translate.neutral import Json

# Fields with the same name and meaning in both.
SAME = (
    "messages",
    "model",
    "temperature",
    "top_p",
    "top_k",
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
# OpenAI's name of a field -> Mistral's.
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
# Mistral's reasoning is either on or off.
EFFORTS = {"minimal": "none", "low": "high", "medium": "high", "xhigh": "high", "max": "high"}
NO_PARAMETERS: Json = {"type": "object", "properties": {}}
MAX_TEMPERATURE = 1.5
CALL_ID_LENGTH = 9
# Models with an effort of reasoning are the newest; these have none, and the last always reason.
WITHOUT_EFFORT = re.compile(
    r"(ministral|pixtral|codestral|devstral|voxtral|open-mi|mistral-(7b|tiny|nemo|saba|(small|medium|large)-2[345]\d\d))",
    re.ASCII,
)
ALWAYS_REASONING = "magistral"
# Dropping these would change the answer.
REFUSED = ("audio", "functions", "function_call", "web_search_options", "moderation")
# Said by the assistant between the result of a tool and the next words of the user, where Mistral needs an answer.
BRIDGE: Json = {"role": "assistant", "content": "Understood."}
# Fields that Mistral has no equivalent for: without effect, or with this value.
NO_EFFECT = {"stream": False, "modalities": ["text"], "store": False, "service_tier": "auto", "verbosity": "medium"}
IGNORED = frozenset({"stream", "stream_options"})


def to_mistral(body: Mapping[str, Any]) -> Json:
    """Convert a chat request to Mistral's dialect, without the fields that Mistral does not know.

    Raises TranslationError that names what Mistral does not support.
    """
    for name in REFUSED:
        if body.get(name) is not None:
            raise TranslationError(name, "is not supported by Mistral.")
    if body.get("modalities") not in (None, [], ["text"]):
        raise TranslationError("modalities", "must be text only: Mistral answers in text.")
    converted = _only(body, SAME)
    for name, mistral_name in RENAMED.items():
        if body.get(name) is not None:
            converted[mistral_name] = body[name]
    if isinstance(converted.get("temperature"), int | float):
        converted["temperature"] = min(converted["temperature"], MAX_TEMPERATURE)
    if converted.get("service_tier") not in SERVICE_TIERS:
        converted.pop("service_tier", None)
    if "reasoning_effort" in converted and not _has_effort(body):
        del converted["reasoning_effort"]
    elif isinstance(converted.get("reasoning_effort"), str):
        converted["reasoning_effort"] = EFFORTS.get(converted["reasoning_effort"], converted["reasoning_effort"])
    for name in converted.keys() & LISTS.keys():
        converted[name] = _each(LISTS[name], converted[name])
    for name in converted.keys() & VALUES.keys():
        converted[name] = VALUES[name](converted[name])
    if isinstance(converted.get("messages"), list):
        converted["messages"] = _ordered(converted["messages"])
    return converted


def dropped_by_mistral(body: Mapping[str, Any]) -> list[str]:
    """Return the fields of a chat request that `to_mistral` leaves out, although they would have an effect."""
    return [name for name, value in body.items() if value and _is_dropped(name, value, body)]


def _is_dropped(name: str, value: Any, body: Mapping[str, Any]) -> bool:
    if name == "service_tier":
        return value not in SERVICE_TIERS
    if name == "reasoning_effort":
        return not _has_effort(body) and (value != "none" or ALWAYS_REASONING in str(body.get("model")))
    return name not in SENT and value != NO_EFFECT.get(name)


def _has_effort(body: Mapping[str, Any]) -> bool:
    model = str(body.get("model"))
    return ALWAYS_REASONING not in model and WITHOUT_EFFORT.search(model) is None


def _ordered(messages: list[Any]) -> list[Any]:
    """Put messages into an order that Mistral takes. Raises TranslationError for calls and results that do not match.

    After the assistant or a tool no system message may come, so it moves to the front. After a tool the assistant must
    speak before the user. Empty answers are left out. A final answer is marked as one to continue.
    """
    if not all(isinstance(message, dict) for message in messages):
        return messages
    ordered: list[Json] = []
    systems = 0  # at the front
    open_calls = 0
    for place, message in enumerate(messages):
        role, before = message.get("role"), ordered[-1].get("role") if ordered else "system"
        if role == "system" and (systems == len(ordered) or before != "user" or place == len(messages) - 1):
            ordered.insert(systems, message)
            systems += 1
            continue
        if role == "tool":
            open_calls -= 1
        elif open_calls:
            raise TranslationError("messages", "each tool call must be followed by its result, for Mistral.")
        if open_calls < 0:
            raise TranslationError("messages", "a tool message must follow the call that it is the result of.")
        if role == "assistant":
            calls = message.get("tool_calls")
            open_calls = len(calls) if isinstance(calls, list) else 0
            if not calls and not message.get("content"):
                continue
        elif role == "user" and before == "tool":
            ordered.append(BRIDGE)
        ordered.append(message)
    if open_calls:
        raise TranslationError("messages", "each tool call must be followed by its result, for Mistral.")
    if len(ordered) > 1 and ordered[-1].get("role") == "assistant":
        ordered[-1] = {**ordered[-1], "prefix": True}
    return ordered


def embedding_to_mistral(body: Mapping[str, Any]) -> Json:
    """Convert an embedding request to Mistral's dialect, without the fields that Mistral does not know."""
    converted = _only(body, EMBEDDING_FIELDS)
    return converted if body.get("dimensions") is None else {**converted, "output_dimension": body["dimensions"]}


def moderation_to_mistral(body: Mapping[str, Any]) -> Json:
    """Convert a moderation request to Mistral's dialect, without the fields that Mistral does not know."""
    return _only(body, MODERATION_FIELDS)


def from_mistral(body: Mapping[str, Any]) -> Json:
    """Convert Mistral's answer to a chat completion."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return dict(body)
    return {**body, "choices": [_choice(choice) if isinstance(choice, dict) else choice for choice in choices]}


def valid_call_id(call_id: str) -> str:
    """Return a tool call id in Mistral's format (9 letters and digits); equal ids give equal results."""
    if len(call_id) == CALL_ID_LENGTH and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:CALL_ID_LENGTH]


def _only(holder: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    """Return the named members of `holder` that are present and not null."""
    return {name: holder[name] for name in names if holder.get(name) is not None}


def _each(convert: Callable[[Mapping[str, Any]], Json], items: Any) -> Any:
    """Convert the objects in a list; return anything but a list unchanged."""
    if not isinstance(items, list):
        return items
    return [convert(item) if isinstance(item, dict) else item for item in items]


def _message(message: Mapping[str, Any]) -> Json:
    if message.get("function_call") is not None:
        raise TranslationError("messages.function_call", "is not supported by Mistral; use tool_calls.")
    role = "system" if message.get("role") == "developer" else message.get("role")
    # Unknown roles pass unchanged: Mistral rejects them.
    converted = _only(message, MESSAGE_FIELDS.get(str(role), tuple(message)))
    if role is not None:
        converted["role"] = role
    if isinstance(converted.get("tool_call_id"), str):
        converted["tool_call_id"] = valid_call_id(converted["tool_call_id"])
    for name in converted.keys() & PARTS.keys():
        converted[name] = _each(PARTS[name], converted[name])
    return converted


def _call(call: Mapping[str, Any]) -> Json:
    converted = _only(call, CALL_FIELDS)
    if isinstance(converted.get("id"), str):
        converted["id"] = valid_call_id(converted["id"])
    if isinstance(converted.get("function"), dict):
        converted["function"] = _only(converted["function"], ("name", "arguments"))
    return converted


def _part(part: Mapping[str, Any]) -> Json:
    """Convert a content part: documents, audio and refusals differ at Mistral; Mistral's own parts pass unchanged."""
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


def _tool(tool: Mapping[str, Any]) -> Json:
    """Convert a tool. Mistral requires a schema, so a tool without parameters gets an empty one."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return dict(tool)
    return {"type": "function", "function": {"parameters": NO_PARAMETERS, **_only(function, FUNCTION_FIELDS)}}


def _tool_choice(choice: Any) -> Any:
    if choice == "required":
        return "any"
    function = choice.get("function") if isinstance(choice, dict) else None
    return {"type": "function", "function": _only(function, ("name",))} if isinstance(function, dict) else choice


def _response_format(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    converted = _only(value, FORMAT_FIELDS)
    if isinstance(converted.get("json_schema"), dict):
        converted["json_schema"] = _only(converted["json_schema"], SCHEMA_FIELDS)
    return converted


def _prediction(value: Any) -> Any:
    """Convert a prediction: at Mistral its content is a single string."""
    if not isinstance(value, dict):
        return value
    content = value.get("content")
    return {"type": "content", "content": _joined(content) if isinstance(content, list) else content}


SENT = frozenset((*SAME, *RENAMED, *IGNORED))
# Converters of nested fields: lists of objects, lists within a message, and single values.
LISTS = {"messages": _message, "tools": _tool}
PARTS = {"tool_calls": _call, "content": _part}
VALUES = {"tool_choice": _tool_choice, "response_format": _response_format, "prediction": _prediction}


def _choice(choice: Mapping[str, Any]) -> Json:
    reason = choice.get("finish_reason")
    known = isinstance(reason, str) and reason not in ABORTED
    converted = {**choice, "finish_reason": finish_of(reason) if known else reason}
    message = choice.get("message")
    if isinstance(message, dict):
        converted["message"] = _answer_message(message)
    return converted


def _answer_message(message: Mapping[str, Any]) -> Json:
    """Convert the message of an answer; its thinking moves from the content to `reasoning_content`."""
    converted = dict(message)
    converted.pop("prefix", None)
    calls = converted.pop("tool_calls", None)
    if calls:
        converted["tool_calls"] = [_answer_call(call) for call in calls] if isinstance(calls, list) else calls
    content = converted.get("content")
    if isinstance(content, list):
        converted["content"] = _joined(content) or None
        thinking = "".join(_thinking(part) for part in content)
        if thinking:
            converted["reasoning_content"] = thinking
    return converted


def _answer_call(call: Any) -> Any:
    """Convert a tool call: Mistral's arguments may be an object, OpenAI's are JSON text."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    try:
        encoded = arguments if isinstance(arguments, str) else json.dumps(arguments or {}).decode()
    except json.JSONEncodeError:  # encoding the whole answer raises the same error, which is handled there
        return call
    converted = {name: value for name, value in call.items() if name != "index"}
    return {**converted, "type": "function", "function": {**function, "arguments": encoded}}


def _joined(parts: list[Any]) -> str:
    """Join the texts of `parts`, except thinking."""
    return "".join(_text(part) for part in parts if not (isinstance(part, dict) and part.get("type") == "thinking"))


def _thinking(part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") != "thinking":
        return ""
    inner = part.get("thinking")
    if isinstance(inner, list):
        return "".join(_text(piece) for piece in inner)
    return inner if isinstance(inner, str) else ""


def _text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
