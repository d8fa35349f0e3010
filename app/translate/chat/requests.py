"""Requests of OpenAI's Chat Completions, read and written (contracts: providers, 28.1).

A batch has millions of them, so the plain message takes the short way.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from app.translate.chat.tools import put_tools, read_tool_choice, read_tools
from app.translate.chat.turns import read_turn, written_turn
from app.translate.errors import TranslationError
from app.translate.neutral import Json, Request, ResponseFormat, Role, Settings, Written

# Roles whose content may be a text alone.
PLAIN: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
PLAIN_MEMBERS = 2  # of a message that has nothing but role and content
WRONG_TYPE = "wrong_type"


def read(body: Mapping[str, Any]) -> Request:
    """The request of a chat completion. Raises TranslationError naming the field that is wrong."""
    request = Request(body.get("model") or "", [], {})
    settings = cast(Json, request.settings)
    for name, value in body.items():
        if name in SEEN or value is None:
            continue
        check = SETTINGS.get(name)
        if check is not None:
            kinds, least, most = check
            if type(value) not in kinds:
                raise _wrong(name, kinds)
            if least is not None and not least <= value <= most:
                raise _out_of_range(name, least, most)
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
    if "tool_choice" in body:  # after all tools are known
        read_tool_choice(request, body["tool_choice"])
    return request


def write(request: Request) -> Written:
    """The request as a chat completion's. Raises TranslationError naming what it cannot say."""
    settings: Settings = request.settings
    dropped = list(request.dropped)
    body: Json = {"model": request.model, "messages": [written_turn(turn, dropped) for turn in request.turns]}
    for name, value in settings.items():
        if name in WRITTEN:
            body[WRITTEN[name]] = value
        elif name not in ("response_format", "tool_name"):
            dropped.append(name)
    if request.tools or "tool_name" in settings:
        put_tools(request, body)
    if "response_format" in settings:
        body["response_format"] = _format(settings["response_format"])
    return Written(body, dropped)


# Settings: the types that the value of each may have, and between what it lies.
Check = tuple[tuple[type, ...], float | None, float]
NUMBER = (int, float)
ANY_INT: Check = ((int,), None, 0)
TEXT: Check = ((str,), None, 0)
OBJECT: Check = ((dict,), None, 0)
YES_OR_NO: Check = ((bool,), None, 0)
MOST_TOKENS = 2**31 - 1
MOST_CHOICES = 128
MOST_LOGPROBS = 20
SETTINGS: dict[str, Check] = {
    "max_tokens": ((int,), 1, MOST_TOKENS),
    "max_completion_tokens": ((int,), 1, MOST_TOKENS),
    "temperature": (NUMBER, 0, 2),
    "top_p": (NUMBER, 0, 1),
    "top_k": ANY_INT,
    "n": ((int,), 1, MOST_CHOICES),
    "seed": ANY_INT,
    "frequency_penalty": (NUMBER, -2, 2),
    "presence_penalty": (NUMBER, -2, 2),
    "logit_bias": OBJECT,
    "logprobs": YES_OR_NO,
    "top_logprobs": ((int,), 0, MOST_LOGPROBS),
    "parallel_tool_calls": YES_OR_NO,
    "service_tier": TEXT,
    "metadata": OBJECT,
    "verbosity": TEXT,
    "prediction": OBJECT,
}
# Read elsewhere, or without a meaning in a batch.
SEEN = frozenset({"model", "messages", "tool_choice", "stream", "stream_options"})
SAME = ("stop", "tool_choice", "reasoning_effort", "user", "modalities")
WRITTEN = {**{name: name for name in (*SETTINGS, *SAME)}, "max_tokens": "max_completion_tokens"}
EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})


def _wrong(name: str, kinds: tuple[type, ...]) -> TranslationError:
    words = {int: "a whole number", str: "a string", bool: "true or false", dict: "an object"}
    wanted = "a number" if kinds == NUMBER else words[kinds[0]]
    return TranslationError(name, f"must be {wanted}.", code=WRONG_TYPE)


def _out_of_range(name: str, least: float, most: float) -> TranslationError:
    wanted = f"at least {least}" if most == MOST_TOKENS else f"between {least} and {most}"
    return TranslationError(name, f"must be {wanted}.", code="invalid_value")


def _stop(request: Request, value: Any) -> None:
    stops = [value] if isinstance(value, str) else value
    request.settings["stop"] = _texts("stop", stops, "a string or a list of strings")
    if not stops:
        del request.settings["stop"]


def _modalities(request: Request, value: Any) -> None:
    request.settings["modalities"] = _texts("modalities", value, "a list of strings")


def _texts(name: str, value: Any, wanted: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TranslationError(name, f"must be {wanted}.", code=WRONG_TYPE)
    return value


def _effort(request: Request, value: Any) -> None:
    if not isinstance(value, str) or value not in EFFORTS:
        raise TranslationError("reasoning_effort", f"must be one of {', '.join(sorted(EFFORTS))}.", code=WRONG_TYPE)
    request.settings["reasoning_effort"] = value


def _user(request: Request, value: Any) -> None:
    """`safety_identifier` is the newer name, and wins."""
    if not isinstance(value, str):
        raise _wrong("user", (str,))
    request.settings.setdefault("user", value)


def _safety_identifier(request: Request, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong("safety_identifier", (str,))
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
    told = value.get("json_schema") if kind == "json_schema" else None
    if not isinstance(told, dict):
        raise TranslationError("response_format", "must be text, json_object or a json_schema with its schema.")
    schema, name = told.get("schema"), told.get("name")
    description, strict = told.get("description"), told.get("strict")
    for member, kinds, given in (
        ("schema", (dict,), schema),
        ("name", (str,), name),
        ("description", (str,), description),
        ("strict", (bool,), strict),
    ):
        if given is not None and type(given) not in kinds:
            raise _wrong(f"response_format.json_schema.{member}", kinds)
    request.settings["response_format"] = ResponseFormat(schema or {}, name or "answer", description, strict)


def _refused(name: str, why: str) -> Callable[[Request, Any], None]:
    """What the answer would be another one without, or come in another form."""

    def refuse(request: Request, value: Any) -> None:
        raise TranslationError(name, why)

    return refuse


SPECIAL: dict[str, Callable[[Request, Any], None]] = {
    "stop": _stop,
    "modalities": _modalities,
    "reasoning_effort": _effort,
    "user": _user,
    "safety_identifier": _safety_identifier,
    "store": _store,
    "tools": read_tools,
    "response_format": _response_format,
    "functions": _refused("functions", "is the former name of tools; no other provider knows it."),
    "function_call": _refused("function_call", "is the former name of tool_choice; no other provider knows it."),
    "audio": _refused("audio", "no other provider answers in OpenAI's voices."),
    "web_search_options": _refused("web_search_options", "no other provider searches the web in OpenAI's way."),
    "moderation": _refused("moderation", "is known to no other provider."),
}


def _format(wanted: ResponseFormat) -> Json:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: Json = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}
