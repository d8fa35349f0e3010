"""Convert input items of the Responses API to chat messages."""

from collections.abc import Mapping
from typing import Any

from app.translate.errors import TranslationError, describe
from app.translate.neutral import FileId, Json

# All chat templates of open models support `system`; not all support `developer`.
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
TEXTS = ("input_text", "output_text", "text")


def to_messages(value: Any) -> list[Json]:
    """Convert `input` to chat messages. Raises TranslationError that names the item that chat cannot express."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise TranslationError("input", "must be a string or a non-empty list of items.", code="invalid_type")
    messages: list[Json] = []
    for index, item in enumerate(value):
        _add(messages, f"input[{index}]", item)
    return messages


def _add(messages: list[Json], where: str, item: Any) -> None:
    if not isinstance(item, Mapping):
        raise TranslationError(where, "must be an object.", code="invalid_type")
    kind = item.get("type") or "message"
    if kind == "message" and "role" in item:
        messages.append(_message(where, item))
    elif kind == "function_call":
        _add_call(messages, where, item)
    elif kind == "function_call_output":
        content = _texts_only(f"{where}.output", item.get("output"))
        messages.append({"role": "tool", "tool_call_id": _string(where, item, "call_id"), "content": content})
    elif kind != "reasoning":
        # Reasoning items are dropped: clients send back everything they received, and chat has no field for them.
        raise TranslationError(f"{where}.type", f"{describe(kind)} items need a server with /v1/responses.")


def _message(where: str, item: Mapping[str, Any]) -> Json:
    role = ROLES.get(_string(where, item, "role"))
    if role is None:
        raise TranslationError(f"{where}.role", f"{describe(item['role'])} is not a role.", code="invalid_value")
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not isinstance(content, list):
        raise TranslationError(f"{where}.content", "must be a string or a list.", code="invalid_type")
    parts = [_part(f"{where}.content[{index}]", part) for index, part in enumerate(content)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    # Use a plain string where it is equivalent: not every server accepts lists.
    if len(texts) == len(parts) and (role == "assistant" or len(parts) < 2):
        return {"role": role, "content": "".join(texts)}
    return {"role": role, "content": parts}


def _part(where: str, part: Any) -> Json:
    if not isinstance(part, Mapping):
        raise TranslationError(where, "must be an object.", code="invalid_type")
    kind = part.get("type")
    if kind in TEXTS:
        return {"type": "text", "text": _string(where, part, "text")}
    if kind == "refusal":
        # Most servers do not know chat's refusal part; as text it means the same to the model.
        return {"type": "text", "text": _string(where, part, "refusal")}
    if kind in ("input_image", "input_file") and isinstance(part.get("file_id"), FileId):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    if kind == "input_image":
        _no_file_id(where, part)
        image = {"url": _string(where, part, "image_url")}
        return {
            "type": "image_url",
            "image_url": {**image, **({"detail": part["detail"]} if part.get("detail") else {})},
        }
    if kind == "input_file":
        _no_file_id(where, part)
        if part.get("file_url"):
            raise TranslationError(f"{where}.file_url", "needs a server with /v1/responses; send file_data.")
        file = {"file_data": _string(where, part, "file_data")}
        return {"type": "file", "file": {**file, **({"filename": part["filename"]} if part.get("filename") else {})}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise TranslationError(f"{where}.type", f"{describe(kind)} content needs a server with /v1/responses.")


def _add_call(messages: list[Json], where: str, item: Mapping[str, Any]) -> None:
    """Add a tool call: in chat, parallel calls and the text beside them are one assistant message."""
    function = {"name": _string(where, item, "name"), "arguments": _string(where, item, "arguments")}
    call = {"id": _string(where, item, "call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _texts_only(where: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise TranslationError(where, "must be a string or a list of input_text.", code="invalid_type")
    parts = [_part(f"{where}[{index}]", part) for index, part in enumerate(value)]
    for index, part in enumerate(parts):
        if part["type"] != "text":
            raise TranslationError(f"{where}[{index}].type", "must be text: chat supports only text as tool output.")
    return "".join(part["text"] for part in parts)


def _no_file_id(where: str, part: Mapping[str, Any]) -> None:
    if part.get("file_id"):
        raise TranslationError(f"{where}.file_id", "is not supported by this server; send the content instead.")


def _string(where: str, holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise TranslationError(f"{where}.{name}", "must be a string.", code="invalid_type")
    return value
