"""What a request of Gemini's asks for besides its contents (contracts: providers, 28.3)."""

from collections.abc import Callable
from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini.models import traits
from app.translate.neutral import Json, Request, ResponseFormat, Tool

MOST_STOPS = 5
MOST_SEED = 2**31
# Members of generationConfig that mean the same.
SAME = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
MODALITIES = ("text", "image", "audio")
JSON = "application/json"
# Hints that ask for nothing when they are empty, 0 or as they are anyway.
MAY_BE_NOTHING = frozenset({"logit_bias", "metadata", "prediction"})
NOTHING = {"parallel_tool_calls": True, "service_tier": "auto"}
# Hints without a place.
HINTS = frozenset({"logit_bias", "parallel_tool_calls", "user", "service_tier", "metadata", "verbosity", "prediction"})


def write(request: Request, body: Json, dropped: list[str]) -> None:
    """Put the settings and tools into `body`. Adds to `dropped`; raises TranslationError."""
    config: Json = {}
    for name, value in request.settings.items():
        own = SAME.get(name)
        if own is not None:
            config[own] = value
        elif (put := SPECIAL.get(name)) is not None:
            put(request, value, config, dropped)
        elif name in HINTS and _asks(name, value):
            dropped.append(name)
    if config:
        body["generationConfig"] = config
    if request.tools:
        _tools(request, body, dropped)


def _asks(name: str, value: Any) -> bool:
    return not (name in MAY_BE_NOTHING and not value) and NOTHING.get(name) != value


def _tools(request: Request, body: Json, dropped: list[str]) -> None:
    settings = request.settings
    body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
    if any(tool.strict for tool in request.tools):
        dropped.append("strict")
    if "tool_name" in settings:
        named = {"mode": "ANY", "allowedFunctionNames": [settings["tool_name"]]}
        body["toolConfig"] = {"functionCallingConfig": named}
    elif "tool_choice" in settings:
        body["toolConfig"] = {"functionCallingConfig": {"mode": MODES[settings["tool_choice"]]}}


def _declared(tool: Tool) -> Json:
    made: Json = {"name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.parameters is not None:
        made["parametersJsonSchema"] = tool.parameters
    return made


def _stop(request: Request, value: list[str], config: Json, dropped: list[str]) -> None:
    if len(value) > MOST_STOPS:
        raise TranslationError("stop", f"Gemini stops at no more than {MOST_STOPS} texts.")
    config["stopSequences"] = value


def _n(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if value != 1:
        config["candidateCount"] = value


def _seed(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if -MOST_SEED <= value < MOST_SEED:
        config["seed"] = value
    else:
        dropped.append("seed")


def _logprobs(request: Request, value: bool, config: Json, dropped: list[str]) -> None:
    if value:
        config["responseLogprobs"] = True


def _top_logprobs(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if value:
        config["logprobs"] = value


def _response_format(request: Request, value: ResponseFormat, config: Json, dropped: list[str]) -> None:
    config["responseMimeType"] = JSON
    if value.schema:
        config["responseJsonSchema"] = value.schema


def _reasoning_effort(request: Request, value: str, config: Json, dropped: list[str]) -> None:
    if "thinking_budget" in request.settings:
        return  # it says the same more exactly
    thinking = traits(request.model).thinking
    if thinking == "level" and value in LEVELS:
        config["thinkingConfig"] = {"thinkingLevel": LEVELS[value]}
    elif thinking == "budget" and value in BUDGETS:
        config["thinkingConfig"] = {"thinkingBudget": BUDGETS[value]}
    elif thinking is not None or value != "none":
        dropped.append("reasoning_effort")


def _thinking_budget(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if traits(request.model).thinking is None:
        if value:
            dropped.append("thinking_budget")
        return
    told: Json = {"thinkingBudget": value}
    if value:
        told["includeThoughts"] = True  # whoever counts them wants to read them
    config["thinkingConfig"] = told


def _modalities(request: Request, value: list[Any], config: Json, dropped: list[str]) -> None:
    unknown = [kind for kind in value if kind not in MODALITIES]
    if unknown:
        raise TranslationError("modalities", f"Gemini answers in text, image or audio, not {unknown[0]!r:.40}.")
    config["responseModalities"] = [kind.upper() for kind in value]


SPECIAL: dict[str, Callable[[Request, Any, Json, list[str]], None]] = {
    "stop": _stop,
    "n": _n,
    "seed": _seed,
    "logprobs": _logprobs,
    "top_logprobs": _top_logprobs,
    "response_format": _response_format,
    "reasoning_effort": _reasoning_effort,
    "thinking_budget": _thinking_budget,
    "modalities": _modalities,
}
