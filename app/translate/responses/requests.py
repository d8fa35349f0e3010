"""Convert a request of the Responses API to Chat Completions, for servers that support only the latter.

Hints (caching, storage, tiers) are dropped. Fields that would change the answer are rejected by name. Unknown fields
pass: the sampling parameters that servers add (`top_k`, `seed`, ...) are the same in both.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json
from app.translate.responses.items import to_messages

NOT_IN_CHAT = "cannot be expressed in Chat Completions, the only API of this server."
# Chat cannot express these, and dropping them would change the answer.
REFUSED = (
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "stream",
    "context_management",
    "moderation",
)
# Hints, or fields of the answer: the model never sees them.
DROPPED = frozenset(
    {
        "metadata",
        "store",
        "truncation",
        "include",
        "stream_options",
        "max_tool_calls",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "access_programs",
        "image",
    }
)
LOGPROBS = "message.output_text.logprobs"
INCLUDABLE = (LOGPROBS, "reasoning.encrypted_content")


def to_chat(request: Mapping[str, Any]) -> Json:
    """Convert a request. Raises TranslationError that names a field of a wrong type or that chat cannot express."""
    for name in REFUSED:
        if request.get(name):
            raise TranslationError(name, NOT_IN_CHAT)
    chat: Json = {}
    for name, value in request.items():
        if name in DROPPED or name in REFUSED or value is None:
            continue
        convert = _CONVERTERS.get(name)
        if convert:
            chat.update(convert(value))
        elif name not in ("instructions", "input"):
            chat[name] = value
    chat["messages"] = [*_instructions(request.get("instructions")), *to_messages(request.get("input"))]
    if not chat.get("tools"):
        # Servers reject these two without tools; the Responses API accepts them.
        chat.pop("parallel_tool_calls", None)
        chat.pop("tool_choice", None)
    chat.update(_logprobs(request))
    return chat


def _instructions(value: Any) -> list[Json]:
    if value is None or value == "":
        return []
    return [{"role": "system", "content": _string("instructions", value)}]


def _tools(value: Any) -> Json:
    return {"tools": [_tool(f"tools[{index}]", tool) for index, tool in enumerate(_list("tools", value))]}


def _tool(where: str, tool: Any) -> Json:
    tool = _object(where, tool)
    if tool.get("type") != "function":
        raise TranslationError(f"{where}.type", f"{describe(tool.get('type'))} tools need a server with /v1/responses.")
    function = {"name": _string(f"{where}.name", tool.get("name"))}
    kept = {name: tool[name] for name in ("description", "parameters", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": {**function, **kept}}


def _tool_choice(value: Any) -> Json:
    if value in ("none", "auto", "required"):
        return {"tool_choice": value}
    choice = _object("tool_choice", value)
    if choice.get("type") != "function":
        raise TranslationError("tool_choice.type", f"{describe(choice.get('type'))} {NOT_IN_CHAT}")
    name = _string("tool_choice.name", choice.get("name"))
    return {"tool_choice": {"type": "function", "function": {"name": name}}}


def _text(value: Any) -> Json:
    text = _object("text", value)
    chat: Json = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    if text.get("format") is None:
        return chat
    spec = _object("text.format", text["format"])
    kind = spec.get("type")
    if kind == "json_object":
        chat["response_format"] = {"type": "json_object"}
    elif kind == "json_schema":
        schema = {"name": _string("text.format.name", spec.get("name"))}
        kept = {name: spec[name] for name in ("description", "schema", "strict") if spec.get(name) is not None}
        chat["response_format"] = {"type": "json_schema", "json_schema": {**schema, **kept}}
    elif kind != "text":
        raise TranslationError("text.format.type", f"{describe(kind)} {NOT_IN_CHAT}")
    return chat


def _reasoning(value: Any) -> Json:
    # A reasoning summary is best effort; chat has none, so the answer comes without one.
    effort = _object("reasoning", value).get("effort")
    return {"reasoning_effort": effort} if effort is not None else {}


def _logprobs(request: Mapping[str, Any]) -> Json:
    include = _list("include", request.get("include") or [])
    for index, name in enumerate(include):
        if name not in INCLUDABLE:
            raise TranslationError(f"include[{index}]", f"{describe(name)} {NOT_IN_CHAT}")
    top = request.get("top_logprobs")
    return {"logprobs": True} if LOGPROBS in include or top else {}


def _object(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TranslationError(where, "must be an object.", code="invalid_type")
    return value


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TranslationError(where, "must be a list.", code="invalid_type")
    return value


def _string(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TranslationError(where, "must be a string.", code="invalid_type")
    return value


_CONVERTERS: dict[str, Callable[[Any], Json]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "text": _text,
    "reasoning": _reasoning,
    # `max_completion_tokens` is the newer name, but servers without /v1/responses are old and know only this one.
    "max_output_tokens": lambda value: {"max_tokens": value},
}
