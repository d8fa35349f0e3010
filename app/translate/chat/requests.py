"""Read and write requests of OpenAI's Chat Completions (contracts: providers, 28.1).

A batch has millions of them, so plain text messages take a fast path.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from app.translate.chat.tools import read_tool_choice, read_tools, write_tools
from app.translate.chat.turns import read_turn, write_turn
from app.translate.errors import TranslationError
from app.translate.neutral import Json, Request, ResponseFormat, Role, Settings, Written

# Roles whose content may be plain text.
PLAIN: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
PLAIN_MEMBERS = 2  # a message with only role and content
WRONG_TYPE = "wrong_type"


def read(body: Mapping[str, Any]) -> Request:
    """Read a chat request. Raises TranslationError that names the invalid field."""
    request = Request(body.get("model") or "", [], {})
    settings = cast(Json, request.settings)
    for name, value in body.items():
        if name in SKIPPED or value is None:
            continue
        check = SETTINGS.get(name)
        if check is not None:
            types, minimum, maximum = check
            if type(value) not in types:
                raise _wrong_type(name, types)
            if minimum is not None and not minimum <= value <= maximum:
                raise _out_of_range(name, minimum, maximum)
            settings[name] = value
        elif (special := SPECIAL.get(name)) is not None:
            special(request, value)
        else:
            request.dropped.append(name)
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        raise TranslationError("messages", "must be a list of at least one message.", code=WRONG_TYPE)
    if type(request.model) is not str:
        raise TranslationError("model", "must be a string.", code=WRONG_TYPE)
    turns = request.turns
    for message in messages:
        try:
            role, content = PLAIN[message["role"]], message["content"]
        except (KeyError, TypeError):
            turns.append(read_turn(request, message, f"messages[{len(turns)}]"))
            continue
        if type(content) is str and len(message) == PLAIN_MEMBERS:
            turns.append((role, content))
        else:
            turns.append(read_turn(request, message, f"messages[{len(turns)}]"))
    if "max_completion_tokens" in settings:
        settings["max_tokens"] = settings.pop("max_completion_tokens")
    if "tool_choice" in body:  # once all tools are known
        read_tool_choice(request, body["tool_choice"])
    return request


def write(request: Request) -> Written:
    """Write a chat request. Raises TranslationError that names what Chat Completions cannot express."""
    settings: Settings = request.settings
    dropped = list(request.dropped)
    body: Json = {"model": request.model, "messages": [write_turn(turn, dropped) for turn in request.turns]}
    for name, value in settings.items():
        if name in WRITTEN:
            body[WRITTEN[name]] = value
        elif name not in ("response_format", "tool_name"):
            dropped.append(name)
    if request.tools or "tool_name" in settings:
        write_tools(request, body)
    if "response_format" in settings:
        body["response_format"] = _write_format(settings["response_format"])
    return Written(body, dropped)


# Settings: the types that a value may have, its minimum (None: unbounded) and its maximum.
Check = tuple[tuple[type, ...], float | None, float]
NUMBER = (int, float)
ANY_INT: Check = ((int,), None, 0)
TEXT: Check = ((str,), None, 0)
OBJECT: Check = ((dict,), None, 0)
BOOLEAN: Check = ((bool,), None, 0)
MAX_TOKENS = 2**31 - 1
MAX_CHOICES = 128
MAX_LOGPROBS = 20
SETTINGS: dict[str, Check] = {
    "max_tokens": ((int,), 1, MAX_TOKENS),
    "max_completion_tokens": ((int,), 1, MAX_TOKENS),
    "temperature": (NUMBER, 0, 2),
    "top_p": (NUMBER, 0, 1),
    "top_k": ANY_INT,
    "n": ((int,), 1, MAX_CHOICES),
    "seed": ANY_INT,
    "frequency_penalty": (NUMBER, -2, 2),
    "presence_penalty": (NUMBER, -2, 2),
    "logit_bias": OBJECT,
    "logprobs": BOOLEAN,
    "top_logprobs": ((int,), 0, MAX_LOGPROBS),
    "parallel_tool_calls": BOOLEAN,
    "service_tier": TEXT,
    "metadata": OBJECT,
    "verbosity": TEXT,
    "prediction": OBJECT,
}
# Read elsewhere, or meaningless in a batch.
SKIPPED = frozenset({"model", "messages", "tool_choice", "stream", "stream_options"})
SAME = ("stop", "tool_choice", "reasoning_effort", "user")
WRITTEN = {**{name: name for name in (*SETTINGS, *SAME)}, "max_tokens": "max_completion_tokens"}
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def _wrong_type(name: str, types: tuple[type, ...]) -> TranslationError:
    words = {int: "an integer", str: "a string", bool: "true or false", dict: "an object"}
    expected = "a number" if types == NUMBER else words[types[0]]
    return TranslationError(name, f"must be {expected}.", code=WRONG_TYPE)


def _out_of_range(name: str, minimum: float, maximum: float) -> TranslationError:
    expected = f"at least {minimum}" if maximum == MAX_TOKENS else f"between {minimum} and {maximum}"
    return TranslationError(name, f"must be {expected}.", code="invalid_value")


def _stop(request: Request, value: Any) -> None:
    stops = [value] if isinstance(value, str) else value
    request.settings["stop"] = _texts("stop", stops, "a string or a list of strings")
    if not stops:
        del request.settings["stop"]


def _modalities(request: Request, value: Any) -> None:
    """Reject images and sound: they would be paid for, and answers in other dialects are handed out as text."""
    if any(kind != "text" for kind in _texts("modalities", value, "a list of strings")):
        raise TranslationError("modalities", "must be text only: other providers' answers are handed out as text.")


def _texts(name: str, value: Any, expected: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TranslationError(name, f"must be {expected}.", code=WRONG_TYPE)
    return value


def _reasoning_effort(request: Request, value: Any) -> None:
    if not isinstance(value, str) or value not in EFFORTS:
        raise TranslationError("reasoning_effort", f"must be one of {', '.join(sorted(EFFORTS))}.", code=WRONG_TYPE)
    request.settings["reasoning_effort"] = value


def _user(request: Request, value: Any) -> None:
    """Read the user id, unless `safety_identifier`, the newer name, is present too."""
    if not isinstance(value, str):
        raise _wrong_type("user", (str,))
    request.settings.setdefault("user", value)


def _safety_identifier(request: Request, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong_type("safety_identifier", (str,))
    request.settings["user"] = value


def _store(request: Request, value: Any) -> None:
    if value is not False:
        request.dropped.append("store")


def _response_format(request: Request, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return
    if kind == "json_object":
        request.settings["response_format"] = ResponseFormat()
        return
    spec = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(spec, dict):
        raise TranslationError("response_format", "must be text, json_object or a json_schema with its schema.")
    schema, name = spec.get("schema"), spec.get("name")
    description, strict = spec.get("description"), spec.get("strict")
    for member, types, member_value in (
        ("schema", (dict,), schema),
        ("name", (str,), name),
        ("description", (str,), description),
        ("strict", (bool,), strict),
    ):
        if member_value is not None and type(member_value) not in types:
            raise _wrong_type(f"response_format.json_schema.{member}", types)
    request.settings["response_format"] = ResponseFormat(schema or {}, name or "answer", description, strict)


def _reject(name: str, reason: str) -> Callable[[Request, Any], None]:
    """Reject a field that changes the answer or its format."""

    def reject(request: Request, value: Any) -> None:
        raise TranslationError(name, reason)

    return reject


SPECIAL: dict[str, Callable[[Request, Any], None]] = {
    "stop": _stop,
    "modalities": _modalities,
    "reasoning_effort": _reasoning_effort,
    "user": _user,
    "safety_identifier": _safety_identifier,
    "store": _store,
    "tools": read_tools,
    "response_format": _response_format,
    "functions": _reject("functions", "is deprecated, and other providers do not support it; use tools."),
    "function_call": _reject("function_call", "is deprecated, and other providers do not support it; use tool_choice."),
    "audio": _reject("audio", "audio output is supported by OpenAI only."),
    "web_search_options": _reject("web_search_options", "is supported by OpenAI only."),
    "moderation": _reject("moderation", "is supported by OpenAI only."),
}


def _write_format(spec: ResponseFormat) -> Json:
    if spec.schema is None:
        return {"type": "json_object"}
    schema: Json = {"name": spec.name, "schema": spec.schema}
    if spec.description is not None:
        schema["description"] = spec.description
    if spec.strict is not None:
        schema["strict"] = spec.strict
    return {"type": "json_schema", "json_schema": schema}
