"""Write settings and tools of generateContent (contracts: providers, 28.3)."""

import re
from collections.abc import Callable
from typing import Any

from app.translate.errors import TranslationError
from app.translate.gemini.models import ALL_LEVELS, Traits, traits
from app.translate.neutral import Json, Request, ResponseFormat, Tool
from app.translate.schemas import openapi
from app.translate.schemas.answering import answer_tool, check_names

MAX_STOPS = 5
MAX_CANDIDATES = 8
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", re.ASCII)
SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
PENALTIES = {"frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty"}
# Settings with the same meaning in generationConfig.
SAME = {"max_tokens": "maxOutputTokens", **SAMPLING, **PENALTIES}
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
# The level for a budget of at most so many tokens.
BUDGET_LEVELS = ((0, "MINIMAL"), (1024, "LOW"), (8192, "MEDIUM"), (float("inf"), "HIGH"))
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
JSON = "application/json"
# Hints that have no effect when empty or 0, and values that equal the default.
NO_EFFECT_IF_EMPTY = frozenset({"logit_bias", "metadata", "prediction"})
DEFAULTS = {"parallel_tool_calls": True, "service_tier": "auto"}
# Values of settings that not every model takes; these change nothing.
NEUTRAL_VALUES = {"temperature": 1, "top_p": 1, **dict.fromkeys(PENALTIES, 0)}
# Hints that Gemini has no field for.
HINTS = frozenset({"logit_bias", "parallel_tool_calls", "user", "service_tier", "metadata", "verbosity", "prediction"})


def write(request: Request, body: Json, dropped: list[str], *, in_batch: bool) -> None:
    """Write the settings and tools into `body`. Adds to `dropped`; raises TranslationError.

    `in_batch`: for a batch of the Developer API.
    """
    config: Json = {}
    model = traits(request.model)
    for name, value in request.settings.items():
        same = SAME.get(name)
        if same is not None:
            if _is_taken(name, value, model, dropped):
                config[same] = value
        elif (write_one := SPECIAL.get(name)) is not None:
            write_one(request, value, config, dropped)
        elif name in HINTS and _has_effect(name, value):
            dropped.append(name)
    spec = request.settings.get("response_format")
    if request.tools:
        spec = _write_tools(request, body, spec, model, dropped)
    if spec is not None:
        _write_format(spec, config, dropped, as_openapi=in_batch and not model.json_schema_in_batches)
    if config:
        body["generationConfig"] = config


def _is_taken(name: str, value: Any, model: Traits, dropped: list[str]) -> bool:
    """True if the model takes a setting; others are listed in `dropped` if their value would have an effect."""
    if (model.sampling or name not in SAMPLING) and (model.penalties or name not in PENALTIES):
        return True
    if value != NEUTRAL_VALUES.get(name):
        dropped.append(name)
    return False


def _has_effect(name: str, value: Any) -> bool:
    return not (name in NO_EFFECT_IF_EMPTY and not value) and DEFAULTS.get(name) != value


def _write_tools(
    request: Request, body: Json, spec: ResponseFormat | None, model: Traits, dropped: list[str]
) -> ResponseFormat | None:
    """Write the tools; returns the response format that is still to be written.

    Older models refuse tools beside a JSON format. There, a schema becomes one more tool.
    """
    settings = request.settings
    check_names(request.tools)
    choice: Json | None = {"mode": MODES[settings["tool_choice"]]} if "tool_choice" in settings else None
    if "tool_name" in settings:
        if all(tool.name != settings["tool_name"] for tool in request.tools):
            raise TranslationError(
                "tool_choice", f"names {settings['tool_name']!r:.60}, which is not one of the tools."
            )
        choice = {"mode": "ANY", "allowedFunctionNames": [settings["tool_name"]]}
    tools = request.tools
    if spec is not None and not model.tools_with_schema:
        if settings.get("tool_choice") == "none" and "tool_name" not in settings:
            return spec  # without the tools
        if spec.schema is None:
            dropped.append("response_format")
        elif choice is None or choice["mode"] == "AUTO":
            # The model must call a tool; answering is one of them.
            tools, choice = [*tools, answer_tool(spec)], {"mode": "ANY"}
        spec = None
    body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
    if any(tool.strict for tool in tools):
        dropped.append("strict")
    if choice is not None:
        body["toolConfig"] = {"functionCallingConfig": choice}
    return spec


def _declaration(tool: Tool) -> Json:
    if not FUNCTION_NAME.fullmatch(tool.name):
        text = f"{tool.name!r:.60} must begin with a letter or _, and have only letters, digits, _ . : and - after it."
        raise TranslationError("tools", text)
    declaration: Json = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    if tool.parameters is not None:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _write_format(spec: ResponseFormat, config: Json, dropped: list[str], *, as_openapi: bool) -> None:
    config["responseMimeType"] = JSON
    if not spec.schema:
        return
    if not as_openapi:
        config["responseJsonSchema"] = spec.schema
        return
    converted = openapi.convert(spec.schema, "response_format")
    config["responseSchema"] = converted.schema
    dropped.extend(converted.dropped)


def _stop(request: Request, value: list[str], config: Json, dropped: list[str]) -> None:
    if len(value) > MAX_STOPS:
        raise TranslationError("stop", f"Gemini accepts at most {MAX_STOPS} stop sequences.")
    config["stopSequences"] = value


def _n(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    if value > MAX_CANDIDATES:
        raise TranslationError("n", f"Gemini gives at most {MAX_CANDIDATES} candidates.")
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


def _reasoning_effort(request: Request, value: str, config: Json, dropped: list[str]) -> None:
    if "thinking_budget" in request.settings:
        return  # the budget is more precise
    model = traits(request.model)
    if model.thinking == "level" and value in LEVELS:
        level, is_exact = _level(LEVELS[value], model)
        config["thinkingConfig"] = {"thinkingLevel": level}
        if not is_exact:
            dropped.append("reasoning_effort")
    elif model.thinking == "budget" and value in BUDGETS:
        config["thinkingConfig"] = {"thinkingBudget": _budget(BUDGETS[value], model, "reasoning_effort", dropped)}
    elif model.thinking is not None or value != "none":
        dropped.append("reasoning_effort")


def _level(wanted: str, model: Traits) -> tuple[str, bool]:
    """Return the least of the model's levels that is not below `wanted`, and whether it is the same."""
    higher = ALL_LEVELS[ALL_LEVELS.index(wanted) :]
    level = next((own for own in higher if own in model.levels), model.levels[-1])
    return level, level == wanted


def _budget(tokens: int, model: Traits, name: str, dropped: list[str]) -> int:
    """Return a budget that the model takes; one that does not turn thinking off as asked for is listed."""
    if tokens <= 0:
        if model.can_turn_off:
            return 0
        dropped.append(name)
    return min(max(tokens, model.least_budget), model.most_budget)


def _thinking_budget(request: Request, value: int, config: Json, dropped: list[str]) -> None:
    model = traits(request.model)
    if model.thinking is None:
        if value:
            dropped.append("thinking_budget")
        return
    if model.thinking == "budget":
        thinking: Json = {"thinkingBudget": _budget(value, model, "thinking_budget", dropped)}
    else:
        wanted = next(level for most, level in BUDGET_LEVELS if value <= most)
        level, is_exact = _level(wanted, model)
        thinking = {"thinkingLevel": level}
        if value > 0 or not is_exact:
            dropped.append("thinking_budget")
    if value > 0:
        thinking["includeThoughts"] = True  # a caller who sets a budget expects to see the thoughts
    config["thinkingConfig"] = thinking


SPECIAL: dict[str, Callable[[Request, Any, Json, list[str]], None]] = {
    "stop": _stop,
    "n": _n,
    "seed": _seed,
    "logprobs": _logprobs,
    "top_logprobs": _top_logprobs,
    "reasoning_effort": _reasoning_effort,
    "thinking_budget": _thinking_budget,
}
