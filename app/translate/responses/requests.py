"""A request of the Responses API as one of Chat Completions, for servers that know only the latter.

Fields that only hint (caching, storing, tiers) are dropped, what would change the answer is refused by
name, and unknown fields pass: the samplers that servers add (`top_k`, `seed`, ...) are the same in both.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.translate.errors import TranslationError, shown
from app.translate.responses.items import messages_of

Json = dict[str, Any]
NO_CHAT_FORM = "cannot be expressed in Chat Completions, the only dialect that this server speaks."
# No chat form, and the answer would be another one without them.
REFUSED = ("previous_response_id", "conversation", "prompt", "background", "stream", "context_management", "moderation")
# Hints, or fields of the answer: nothing that the model would see.
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
    """The chat request. Raises TranslationError naming the field that has no chat form or a wrong type."""
    for name in REFUSED:
        if request.get(name):
            raise TranslationError(name, NO_CHAT_FORM)
    chat: Json = {}
    for name, value in request.items():
        if name in DROPPED or name in REFUSED or value is None:
            continue
        convert = _CONVERTED.get(name)
        if convert:
            chat.update(convert(value))
        elif name not in ("instructions", "input"):
            chat[name] = value
    chat["messages"] = [*_instructions(request.get("instructions")), *messages_of(request.get("input"))]
    if not chat.get("tools"):
        # Servers refuse these two without tools, the Responses API does not.
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
        raise TranslationError(f"{where}.type", f"{shown(tool.get('type'))} tools need a server with /v1/responses.")
    function = {"name": _string(f"{where}.name", tool.get("name"))}
    kept = {name: tool[name] for name in ("description", "parameters", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": {**function, **kept}}


def _tool_choice(value: Any) -> Json:
    if value in ("none", "auto", "required"):
        return {"tool_choice": value}
    choice = _object("tool_choice", value)
    if choice.get("type") != "function":
        raise TranslationError("tool_choice.type", f"{shown(choice.get('type'))} {NO_CHAT_FORM}")
    name = _string("tool_choice.name", choice.get("name"))
    return {"tool_choice": {"type": "function", "function": {"name": name}}}


def _text(value: Any) -> Json:
    text = _object("text", value)
    chat: Json = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    if text.get("format") is None:
        return chat
    form = _object("text.format", text["format"])
    kind = form.get("type")
    if kind == "json_object":
        chat["response_format"] = {"type": "json_object"}
    elif kind == "json_schema":
        schema = {"name": _string("text.format.name", form.get("name"))}
        kept = {name: form[name] for name in ("description", "schema", "strict") if form.get(name) is not None}
        chat["response_format"] = {"type": "json_schema", "json_schema": {**schema, **kept}}
    elif kind != "text":
        raise TranslationError("text.format.type", f"{shown(kind)} {NO_CHAT_FORM}")
    return chat


def _reasoning(value: Any) -> Json:
    # A summary is asked for at best effort; chat has none, and answers without one.
    effort = _object("reasoning", value).get("effort")
    return {"reasoning_effort": effort} if effort is not None else {}


def _logprobs(request: Mapping[str, Any]) -> Json:
    wanted = _list("include", request.get("include") or [])
    for index, name in enumerate(wanted):
        if name not in INCLUDABLE:
            raise TranslationError(f"include[{index}]", f"{shown(name)} {NO_CHAT_FORM}")
    top = request.get("top_logprobs")
    return {"logprobs": True} if LOGPROBS in wanted or top else {}


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


_CONVERTED: dict[str, Callable[[Any], Json]] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "text": _text,
    "reasoning": _reasoning,
    # `max_completion_tokens` is the newer name, but servers without /v1/responses are the old ones.
    "max_output_tokens": lambda value: {"max_tokens": value},
}
