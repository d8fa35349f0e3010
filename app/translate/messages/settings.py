"""What a request of Anthropic's Messages asks for besides its turns (contracts: providers, 28.1)."""

from collections.abc import Callable
from typing import Any

from app.translate.errors import TranslationError
from app.translate.messages.blocks import Flavour
from app.translate.messages.models import Traits, traits
from app.translate.neutral import Json, Request, Settings, Tool

# Messages demand a limit; this is it where the caller sets none.
DEFAULT_MAX_TOKENS = 4096
LEAST_BUDGET = 1024
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
MOST_TEMPERATURE = 1
LEAST_TOP_P_THINKING = 0.95
SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
NO_PARAMETERS: Json = {"type": "object", "properties": {}}
# What is put together with others, further down.
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
TOGETHER = frozenset({"tool_choice", "tool_name", "parallel_tool_calls", "reasoning_effort", "thinking_budget"})
# Hints that ask for nothing when they are 0, false or empty.
MAY_BE_NOTHING = frozenset(
    {"frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "metadata", "prediction"}
)


def write(request: Request, body: Json, flavour: Flavour, dropped: list[str]) -> None:
    """Put the settings and tools into `body`. Adds to `dropped`; raises TranslationError."""
    settings = request.settings
    together, sampling = bool(request.tools), False
    for name, value in settings.items():
        if name == "max_tokens":
            continue
        if name in SAMPLING:
            sampling = True
        elif name in TOGETHER:
            together = True
        elif (put := SETTINGS.get(name)) is not None:
            put(body, value, flavour, dropped)
        elif value or name not in MAY_BE_NOTHING:
            dropped.append(name)
    if together:
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        forced = _tool_choice(request, body)
        if forced or "reasoning_effort" in settings or "thinking_budget" in settings:
            _thinking(request.model, settings, body, forced, dropped)
    if sampling:
        _sampling(request.model, settings, body, dropped)


def _stop(body: Json, value: list[str], flavour: Flavour, dropped: list[str]) -> None:
    stops = [stop for stop in value if stop]
    if any(stop.isspace() for stop in stops):
        raise TranslationError("stop", "Claude stops at no text that is only white space.")
    if stops:
        body["stop_sequences"] = stops


def _n(body: Json, value: int, flavour: Flavour, dropped: list[str]) -> None:
    if value > 1:
        raise TranslationError("n", "Claude gives one answer to a request.")


def _modalities(body: Json, value: list[Any], flavour: Flavour, dropped: list[str]) -> None:
    if any(kind != "text" for kind in value):
        raise TranslationError("modalities", "Claude answers in text only.")


def _response_format(body: Json, value: Any, flavour: Flavour, dropped: list[str]) -> None:
    if value.schema is None:
        dropped.append("response_format")
        return
    schema = closed(value.schema) or {"type": "object", "properties": {}, "additionalProperties": False}
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _user(body: Json, value: str, flavour: Flavour, dropped: list[str]) -> None:
    body["metadata"] = {"user_id": value}


def _service_tier(body: Json, value: str, flavour: Flavour, dropped: list[str]) -> None:
    if flavour == "anthropic" and value in SERVICE_TIERS:
        body["service_tier"] = SERVICE_TIERS[value]
    else:
        dropped.append("service_tier")


SETTINGS: dict[str, Callable[[Json, Any, Flavour, list[str]], None]] = {
    "stop": _stop,
    "n": _n,
    "modalities": _modalities,
    "response_format": _response_format,
    "user": _user,
    "service_tier": _service_tier,
}


def closed(schema: Any) -> Any:
    """The schema with every object closed to other properties, as Claude demands; what says otherwise stays."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(name, value) for name, value in schema.items()}
    if schema.get("type") == "object" or isinstance(schema.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


# Members of a schema that hold values, and those that hold schemas by name.
VALUES = frozenset({"enum", "const", "default", "examples", "required", "example"})
BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def _closed(name: str, value: Any) -> Any:
    if name in VALUES:
        return value
    if name in BY_NAME and isinstance(value, dict):
        return {key: closed(inner) for key, inner in value.items()}
    return closed(value)


def _tool(tool: Tool) -> Json:
    made: Json = {"name": tool.name, "input_schema": tool.parameters or NO_PARAMETERS}
    if tool.parameters and "type" not in tool.parameters:
        made["input_schema"] = {"type": "object", **tool.parameters}
    if tool.description:
        made["description"] = tool.description
    if tool.strict:
        made["strict"] = True
        made["input_schema"] = closed(made["input_schema"])
    return made


def _tool_choice(request: Request, body: Json) -> bool:
    """Put the choice; True when a call is demanded."""
    settings = request.settings
    choice, name = settings.get("tool_choice"), settings.get("tool_name")
    single = settings.get("parallel_tool_calls") is False
    if not request.tools:
        if name is not None or choice == "required":
            raise TranslationError("tool_choice", "demands a call, and the request has no tools.")
        return False
    if name is not None:
        body["tool_choice"] = {"type": "tool", "name": name}
    elif choice is not None:
        body["tool_choice"] = {"type": "any" if choice == "required" else choice}
    elif single:
        body["tool_choice"] = {"type": "auto"}
    if single and choice != "none":
        body["tool_choice"]["disable_parallel_tool_use"] = True
    return name is not None or choice == "required"


def _thinking(model: str, settings: Settings, body: Json, forced: bool, dropped: list[str]) -> None:
    """Thinking and effort. Where a call is demanded nothing is thought: the one excludes the other."""
    can = traits(model)
    asked = "thinking_budget" if "thinking_budget" in settings else "reasoning_effort"
    effort, budget = settings.get("reasoning_effort", ""), settings.get("thinking_budget")
    if forced:
        if can.off != "disabled":
            raise TranslationError("tool_choice", f"{model} always thinks, and so cannot be made to call a tool.")
        if can.thinks_unasked:
            body["thinking"] = {"type": "disabled"}
        if asked in settings and effort != "none" and budget != 0:
            dropped.append(asked)
    elif effort == "none" or budget == 0:
        _unthinking(can, body, asked, dropped)
    elif can.thinks == "never" or (not budget and effort not in EFFORTS):
        dropped.append(asked)
    elif can.thinks == "adaptive" and not (budget and can.budget):
        _adaptive(can, settings, body, dropped)
    else:
        if budget and effort:
            dropped.append("reasoning_effort")
        _budgeted(budget or BUDGETS[effort], "max_tokens" in settings, asked, body, dropped)


def _unthinking(can: Traits, body: Json, asked: str, dropped: list[str]) -> None:
    if can.off is not None:
        body["thinking"] = {"type": can.off}
        return
    body.setdefault("output_config", {})["effort"] = "low"
    dropped.append(asked)


def _adaptive(can: Traits, settings: Settings, body: Json, dropped: list[str]) -> None:
    body["thinking"] = {"type": "adaptive"}
    wanted = settings.get("reasoning_effort")
    if wanted in EFFORTS:
        effort = EFFORTS[wanted]
        body.setdefault("output_config", {})["effort"] = "high" if effort == "xhigh" and not can.xhigh else effort
    elif wanted is not None:
        dropped.append("reasoning_effort")
    if "thinking_budget" in settings:
        dropped.append("thinking_budget")
    if "max_tokens" not in settings:
        body["max_tokens"] = DEFAULT_MAX_TOKENS + BUDGETS.get(wanted or "", BUDGETS["high"])


def _budgeted(budget: int, limited: bool, asked: str, body: Json, dropped: list[str]) -> None:
    """A budget within the limit on tokens, which leaves as much again as the least budget for the answer."""
    budget = max(budget, LEAST_BUDGET)
    if not limited:
        body["max_tokens"] = budget + DEFAULT_MAX_TOKENS
    elif body["max_tokens"] <= LEAST_BUDGET:
        dropped.append(asked)
        return
    budget = max(LEAST_BUDGET, min(budget, body["max_tokens"] - LEAST_BUDGET))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _sampling(model: str, settings: Settings, body: Json, dropped: list[str]) -> None:
    """Temperature, top_p and top_k, of which the newest models take none, and none takes the first two at once.

    While a model thinks, only a top_p near 1 is taken. The value 1 is the default and need not be said.
    """
    thinks = "thinking" in body and body["thinking"]["type"] in ("enabled", "adaptive")
    free = traits(model).sampling and not thinks
    temperature, top_p, top_k = settings.get("temperature"), settings.get("top_p"), settings.get("top_k")
    if temperature is not None:
        if free:
            body["temperature"] = min(temperature, MOST_TEMPERATURE)
        elif temperature != 1:
            dropped.append("temperature")
    if top_p is not None and top_p != 1:
        near = thinks and top_p >= LEAST_TOP_P_THINKING and traits(model).sampling
        if near or (free and temperature is None):
            body["top_p"] = top_p
        else:
            dropped.append("top_p")
    if top_k is not None:
        if free:
            body["top_k"] = top_k
        else:
            dropped.append("top_k")
