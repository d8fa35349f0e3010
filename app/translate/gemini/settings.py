"""Write settings and tools of generateContent (contracts: providers, 28.3)."""

from collections.abc import Callable
from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini.models import traits
from app.translate.neutral import Json, Request, ResponseFormat, Tool

MAX_STOPS = 5
# Settings with the same meaning in generationConfig.
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
# Hints that have no effect when empty or 0, and values that equal the default.
NO_EFFECT_IF_EMPTY = frozenset({"logit_bias", "metadata", "prediction"})
DEFAULTS = {"parallel_tool_calls": True, "service_tier": "auto"}
# Hints that Gemini has no field for.
HINTS = frozenset({"logit_bias", "parallel_tool_calls", "user", "service_tier", "metadata", "verbosity", "prediction"})


def write(request: Request, body: Json, dropped: list[str]) -> None:
    """Write the settings and tools into `body`. Adds to `dropped`; raises TranslationError."""
    config: Json = {}
    for name, value in request.settings.items():
        same = SAME.get(name)
        if same is not None:
            config[same] = value
        elif (write_one := SPECIAL.get(name)) is not None:
            write_one(request, value, config, dropped)
        elif name in HINTS and _has_effect(name, value):
            dropped.append(name)
    if config:
        body["generationConfig"] = config
    if request.tools:
        _write_tools(request, body, dropped)


def _has_effect(name: str, value: Any) -> bool:
    return not (name in NO_EFFECT_IF_EMPTY and not value) and DEFAULTS.get(name) != value


def _write_tools(request: Request, body: Json, dropped: list[str]) -> None:
    settings = request.settings
    body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    if any(tool.strict for tool in request.tools):
        dropped.append("strict")
    if "tool_name" in settings:
        named = {"mode": "ANY", "allowedFunctionNames": [settings["tool_name"]]}
        body["toolConfig"] = {"functionCallingConfig": named}
    elif "tool_choice" in settings:
        body["toolConfig"] = {"functionCallingConfig": {"mode": MODES[settings["tool_choice"]]}}


def _declaration(tool: Tool) -> Json:
    declaration: Json = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    if tool.parameters is not None:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _stop(request: Request, value: list[str], config: Json, dropped: list[str]) -> None:
    if len(value) > MAX_STOPS:
        raise TranslationError("stop", f"Gemini accepts at most {MAX_STOPS} stop sequences.")
    config["stopSequences"] = value


def _n(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if value != 1:
        config["candidateCount"] = value


def _seed(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if -(2**31) <= value < 2**31:
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
        return  # the budget is more precise
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
    thinking: Json = {"thinkingBudget": value}
    if value:
        thinking["includeThoughts"] = True  # a caller who sets a budget expects to see the thoughts
    config["thinkingConfig"] = thinking


def _modalities(request: Request, value: list[Any], config: Json, dropped: list[str]) -> None:
    unknown = [kind for kind in value if kind not in MODALITIES]
    if unknown:
        raise TranslationError("modalities", f"Gemini supports text, image and audio, not {unknown[0]!r:.40}.")
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
