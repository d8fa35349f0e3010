"""Read requests of Anthropic's Messages (contracts: providers, 28.1)."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, cast

from app.translate import media
from app.translate.errors import TranslationError, describe
from app.translate.neutral import (
    Json,
    Media,
    Part,
    Request,
    ResponseFormat,
    Settings,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

WRONG_TYPE = "wrong_type"
NUMBER = (int, float)
# Settings: neutral name, and the types that the value may have.
SETTINGS: dict[str, tuple[str, tuple[type, ...]]] = {
    "max_tokens": ("max_tokens", (int,)),
    "temperature": ("temperature", NUMBER),
    "top_p": ("top_p", NUMBER),
    "top_k": ("top_k", (int,)),
}
SKIPPED = frozenset({"model", "messages", "stream"})
TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
CHOICES = {"auto": "auto", "none": "none", "any": "required"}
SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}
# Only Anthropic has these, and dropping them would change the answer.
REJECTED = ("container", "mcp_servers", "fallbacks", "context_management", "inference_geo")


def read(body: Mapping[str, Any]) -> Request:
    """Read a request. Raises TranslationError that names the invalid field."""
    request = Request(body.get("model") or "", [], {})
    settings = cast(Json, request.settings)
    if "system" in body:
        _system(request, body["system"])
    for name, value in body.items():
        if value is None or name in SKIPPED:
            continue
        check = SETTINGS.get(name)
        if check is not None:
            key, types = check
            if type(value) not in types:
                raise _wrong_type(name, "a number" if float in types else "an integer")
            settings[key] = value
        elif (special := SPECIAL.get(name)) is not None:
            special(request, value)
        elif name in REJECTED:
            raise TranslationError(name, "is supported by Anthropic only.")
        elif name != "system":
            request.dropped.append(name)
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        raise _wrong_type("messages", "a list of at least one message")
    for number, message in enumerate(messages):
        _read_turns(request, message, f"messages[{number}]")
    return request


def _wrong_type(name: str, expected: str) -> TranslationError:
    return TranslationError(name, f"must be {expected}.", code=WRONG_TYPE)


def _object(name: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise _wrong_type(name, "an object")
    return value


def _system(request: Request, value: Any) -> None:
    if isinstance(value, str):
        request.turns.append(("system", value))
    elif isinstance(value, list):
        request.turns.append(("system", [_system_text(request, block, n) for n, block in enumerate(value)]))
    elif value is not None:
        raise _wrong_type("system", "a string or a list of text blocks")


def _system_text(request: Request, block: Any, number: int) -> str:
    if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
        raise TranslationError(f"system[{number}]", "must be a text block.")
    _drop_caching(request, block)
    return str(block["text"])


def _drop_caching(request: Request, holder: Json) -> None:
    """Drop `cache_control`: other providers cache on their own."""
    if holder.get("cache_control") is not None:
        _drop(request, "cache_control")


def _drop(request: Request, name: str) -> None:
    if name not in request.dropped:
        request.dropped.append(name)


def _stop(request: Request, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
        raise _wrong_type("stop_sequences", "a list of strings")
    if value:
        request.settings["stop"] = value


def _tools(request: Request, value: Any) -> None:
    if not isinstance(value, list):
        raise _wrong_type("tools", "a list")
    for number, tool in enumerate(value):
        request.tools.append(_tool(request, _object(f"tools[{number}]", tool), f"tools[{number}]"))


def _tool(request: Request, tool: Json, path: str) -> Tool:
    if tool.get("type") not in (None, "custom"):
        raise TranslationError(f"{path}.type", f"{describe(tool['type'])} tools are supported by Anthropic only.")
    name, schema = tool.get("name"), tool.get("input_schema")
    if not isinstance(name, str) or not name:
        raise _wrong_type(f"{path}.name", "a string")
    if schema is not None and not isinstance(schema, dict):
        raise _wrong_type(f"{path}.input_schema", "a JSON schema")
    _drop_caching(request, tool)
    for unknown in sorted(tool.keys() - TOOL_FIELDS):
        _drop(request, f"tools.{unknown}")
    description, strict = tool.get("description"), tool.get("strict")
    return Tool(
        name,
        description if isinstance(description, str) else None,
        schema or None,
        strict if isinstance(strict, bool) else None,
    )


def _tool_choice(request: Request, value: Any) -> None:
    choice, settings = _object("tool_choice", value), request.settings
    kind = choice.get("type")
    if kind == "tool" and isinstance(choice.get("name"), str):
        settings["tool_name"] = choice["name"]
    elif isinstance(kind, str) and kind in CHOICES:
        cast(Json, settings)["tool_choice"] = CHOICES[kind]
    else:
        raise TranslationError("tool_choice", "must be auto, none, any or a tool.")
    if choice.get("disable_parallel_tool_use") is True:
        settings["parallel_tool_calls"] = False


def _thinking(request: Request, value: Any) -> None:
    kind = _object("thinking", value).get("type")
    settings: Settings = request.settings
    if kind == "enabled":
        if type(value.get("budget_tokens")) is not int:
            raise _wrong_type("thinking.budget_tokens", "an integer")
        settings["thinking_budget"] = value["budget_tokens"]
    elif kind in ("disabled", "between_tools"):
        settings["thinking_budget"] = 0
    elif kind == "adaptive":
        # `output_config.effort`, read before or after this, may set another effort.
        settings.setdefault("reasoning_effort", "high")
    else:
        raise TranslationError("thinking.type", "must be enabled, disabled, between_tools or adaptive.")


def _output_config(request: Request, value: Any) -> None:
    config = _object("output_config", value)
    if config.get("effort") is not None:
        if not isinstance(config["effort"], str):
            raise _wrong_type("output_config.effort", "a string")
        request.settings["reasoning_effort"] = config["effort"]
    if config.get("format") is not None:
        spec = _object("output_config.format", config["format"])
        if spec.get("type") != "json_schema" or not isinstance(spec.get("schema"), dict):
            raise TranslationError("output_config.format", "must be a json_schema with its schema.")
        request.settings["response_format"] = ResponseFormat(spec["schema"])
    for name in config.keys() - {"effort", "format"}:
        _drop(request, f"output_config.{name}")


def _metadata(request: Request, value: Any) -> None:
    user = _object("metadata", value).get("user_id")
    if isinstance(user, str):
        request.settings["user"] = user


def _service_tier(request: Request, value: Any) -> None:
    if isinstance(value, str) and value in SERVICE_TIERS:
        request.settings["service_tier"] = SERVICE_TIERS[value]
    else:
        _drop(request, "service_tier")


SPECIAL: dict[str, Callable[[Request, Any], None]] = {
    "stop_sequences": _stop,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "thinking": _thinking,
    "output_config": _output_config,
    "metadata": _metadata,
    "service_tier": _service_tier,
}


def _read_turns(request: Request, message: Any, path: str) -> None:
    """Read a message into turns: each tool result becomes a turn of its own, before the rest of the message."""
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant", "system"):
        raise TranslationError(f"{path}.role", f"{describe(role)} is not a valid role.")
    content = message.get("content")
    if isinstance(content, str):
        request.turns.append((role, content))
        return
    if not isinstance(content, list):
        raise _wrong_type(f"{path}.content", "a string or a list of blocks")
    parts: list[Part] = []
    for number, block in enumerate(content):
        where = f"{path}.content[{number}]"
        block = _object(where, block)
        _drop_caching(request, block)
        if block.get("type") == "tool_result" and role == "user":
            request.turns.append(("tool", _read_result(request, block, where)))
        else:
            parts.append(_read_block(request, block, where))
    if parts or not content:
        request.turns.append((role, parts))


def _read_result(request: Request, block: Json, path: str) -> ToolResult:
    if not isinstance(block.get("tool_use_id"), str):
        raise _wrong_type(f"{path}.tool_use_id", "a string")
    content = block.get("content")
    result: str | list[str | Media]
    if content is None or isinstance(content, str):
        result = content or ""
    elif isinstance(content, list):
        result = []
        for number, item in enumerate(content):
            part = _read_block(request, _object(f"{path}.content[{number}]", item), f"{path}.content[{number}]")
            if not isinstance(part, str | Media):
                raise TranslationError(f"{path}.content[{number}]", "must be text, an image or a document.")
            result.append(part)
    else:
        raise _wrong_type(f"{path}.content", "a string or a list of blocks")
    return ToolResult(block["tool_use_id"], result, block.get("is_error") is True)


def _read_block(request: Request, block: Json, path: str) -> Part:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    if kind in ("image", "document"):
        return _read_media(request, block, kind, path)
    is_named = isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
    if kind == "tool_use" and is_named and isinstance(block.get("input"), dict):
        return ToolCall(block["id"], block["name"], block["input"])
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        signature = block.get("signature")
        return Thinking(block["thinking"], signature if isinstance(signature, str) else None)
    if kind == "redacted_thinking" and isinstance(block.get("data"), str):
        return Thinking("", redacted=block["data"])
    raise TranslationError(path, f"a block of type {describe(kind)} is incomplete, or supported by Anthropic only.")


def _read_media(request: Request, block: Json, kind: Any, path: str) -> Part:
    source = _object(f"{path}.source", block.get("source"))
    source_type, data, url = source.get("type"), source.get("data"), source.get("url")
    media_type = source.get("media_type")
    title = block.get("title")
    name = title if kind == "document" and isinstance(title, str) else None
    for field in ("citations", "context"):
        if block.get(field) is not None:
            _drop(request, field)
    if source_type == "base64" and isinstance(data, str) and isinstance(media_type, str):
        return Media(kind, media_type=media_type, data=data, name=name)
    if source_type == "url" and isinstance(url, str):
        return Media(kind, url=media.public_url(url, f"{path}.source.url"), name=name)
    if source_type == "text" and isinstance(data, str) and kind == "document":
        encoded = base64.b64encode(data.encode(errors="replace")).decode()
        return Media(kind, media_type="text/plain", data=encoded, name=name)
    if source_type == "file":
        return media.stored(source.get("file_id"), f"{path}.source.file_id", name=name)
    raise TranslationError(
        f"{path}.source", f"a source of type {describe(source_type)} is incomplete, or supported by Anthropic only."
    )
