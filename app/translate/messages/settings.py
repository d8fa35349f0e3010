"""Write settings and tools of Anthropic's Messages (contracts: providers, 28.1)."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from app.translate.errors import TranslationError
from app.translate.messages import tools
from app.translate.messages.blocks import Flavour
from app.translate.messages.models import Traits, traits
from app.translate.neutral import Json, Request, Settings

# Messages requires a limit; used when the caller sets none.
DEFAULT_MAX_TOKENS = 4096
MIN_BUDGET = 1024
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
MAX_TEMPERATURE = 1
MIN_TOP_P_THINKING = 0.95
SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
# Anthropic refuses user ids that identify a person, such as e-mail addresses.
EMAIL = re.compile(r"[^@\s]@[^@\s]+\.[^@\s]")
MAX_USER_ID = 256
# Settings that depend on each other; written together.
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
INTERDEPENDENT = frozenset(
    {"tool_choice", "tool_name", "parallel_tool_calls", "response_format", "reasoning_effort", "thinking_budget"}
)
# Hints that have no effect when 0, false or empty.
NO_EFFECT_IF_EMPTY = frozenset(
    {"frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "metadata", "prediction"}
)


def write(request: Request, body: Json, flavour: Flavour, dropped: list[str]) -> None:
    """Write the settings and tools into `body`. Adds to `dropped`; raises TranslationError."""
    settings = request.settings
    has_interdependent, has_sampling = bool(request.tools), False
    for name, value in settings.items():
        if name == "max_tokens":
            continue
        if name in SAMPLING:
            has_sampling = True
        elif name in INTERDEPENDENT:
            has_interdependent = True
        elif (write_one := SETTINGS.get(name)) is not None:
            write_one(body, value, flavour, dropped)
        elif value or name not in NO_EFFECT_IF_EMPTY:
            dropped.append(name)
    if has_interdependent:
        must_call = tools.write(request, body, flavour, dropped)
        if must_call or "reasoning_effort" in settings or "thinking_budget" in settings:
            _write_thinking(request.model, settings, body, must_call, dropped)
    if has_sampling:
        _write_sampling(request.model, settings, body, dropped)


def _stop(body: Json, value: list[str], flavour: Flavour, dropped: list[str]) -> None:
    stops = [stop for stop in value if stop]
    if any(stop.isspace() for stop in stops):
        raise TranslationError("stop", "Claude does not support whitespace-only stop sequences.")
    if stops:
        body["stop_sequences"] = stops


def _n(body: Json, value: int, flavour: Flavour, dropped: list[str]) -> None:
    if value > 1:
        raise TranslationError("n", "Claude supports only 1.")


def _user(body: Json, value: str, flavour: Flavour, dropped: list[str]) -> None:
    if EMAIL.search(value) or len(value) > MAX_USER_ID:
        dropped.append("user")
    else:
        body["metadata"] = {"user_id": value}


def _service_tier(body: Json, value: str, flavour: Flavour, dropped: list[str]) -> None:
    if flavour == "anthropic" and value in SERVICE_TIERS:
        body["service_tier"] = SERVICE_TIERS[value]
    else:
        dropped.append("service_tier")


SETTINGS: dict[str, Callable[[Json, Any, Flavour, list[str]], None]] = {
    "stop": _stop,
    "n": _n,
    "user": _user,
    "service_tier": _service_tier,
}


def _write_thinking(model: str, settings: Settings, body: Json, must_call: bool, dropped: list[str]) -> None:
    """Write thinking and effort. A mandatory tool call excludes thinking."""
    model_traits = traits(model)
    param = "thinking_budget" if "thinking_budget" in settings else "reasoning_effort"
    effort, budget = settings.get("reasoning_effort", ""), settings.get("thinking_budget")
    if must_call:
        if model_traits.off != "disabled":
            raise TranslationError("tool_choice", f"{model} always thinks, which excludes a mandatory tool call.")
        if model_traits.thinks_by_default:
            body["thinking"] = {"type": "disabled"}
        if param in settings and effort != "none" and budget != 0:
            dropped.append(param)
    elif effort == "none" or budget == 0:
        _turn_off_thinking(model_traits, body, param, dropped)
    elif model_traits.thinks == "never" or (not budget and effort not in EFFORTS):
        dropped.append(param)
    elif model_traits.thinks == "adaptive" and not (budget and model_traits.budget):
        _adaptive_thinking(model_traits, settings, body, dropped)
    elif _lacks_thinking(body.get("messages", ())):
        dropped.append(param)
    else:
        if budget and effort:
            dropped.append("reasoning_effort")
        _thinking_budget(budget or BUDGETS[effort], "max_tokens" in settings, param, body, dropped)


def _lacks_thinking(messages: Sequence[Json]) -> bool:
    """True if a model that thinks with a budget refuses to go on after these messages.

    While it calls tools, or continues its answer, what it said must begin with thinking.
    """
    is_open = False
    for message in reversed(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else ()
        if message["role"] == "user":
            if not any(block["type"] == "tool_result" for block in blocks):
                break
        else:
            if blocks and blocks[0]["type"] in ("thinking", "redacted_thinking"):
                return False
            is_open = True
    return is_open


def _turn_off_thinking(model_traits: Traits, body: Json, param: str, dropped: list[str]) -> None:
    if model_traits.off is not None:
        body["thinking"] = {"type": model_traits.off}
        return
    body.setdefault("output_config", {})["effort"] = "low"
    dropped.append(param)


def _adaptive_thinking(model_traits: Traits, settings: Settings, body: Json, dropped: list[str]) -> None:
    body["thinking"] = {"type": "adaptive"}
    effort = settings.get("reasoning_effort")
    if effort in EFFORTS:
        claude_effort = EFFORTS[effort]
        if claude_effort == "xhigh" and not model_traits.xhigh:
            claude_effort = "high"
        body.setdefault("output_config", {})["effort"] = claude_effort
    elif effort is not None:
        dropped.append("reasoning_effort")
    if "thinking_budget" in settings:
        dropped.append("thinking_budget")
    if "max_tokens" not in settings:
        body["max_tokens"] = DEFAULT_MAX_TOKENS + BUDGETS.get(effort or "", BUDGETS["high"])


def _thinking_budget(budget: int, is_limited: bool, param: str, body: Json, dropped: list[str]) -> None:
    """Write a budget that leaves at least MIN_BUDGET of the token limit for the answer."""
    budget = max(budget, MIN_BUDGET)
    if not is_limited:
        body["max_tokens"] = budget + DEFAULT_MAX_TOKENS
    elif body["max_tokens"] <= MIN_BUDGET:
        dropped.append(param)
        return
    budget = max(MIN_BUDGET, min(budget, body["max_tokens"] - MIN_BUDGET))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _write_sampling(model: str, settings: Settings, body: Json, dropped: list[str]) -> None:
    """Write temperature, top_p and top_k. The newest models accept none of them, and no model both of the first two.

    While a model thinks, only a top_p near 1 is accepted. 1 is the default and is not written.
    """
    thinks = "thinking" in body and body["thinking"]["type"] in ("enabled", "adaptive")
    can_sample = traits(model).sampling and not thinks
    temperature, top_p, top_k = settings.get("temperature"), settings.get("top_p"), settings.get("top_k")
    if temperature is not None:
        if can_sample:
            body["temperature"] = min(temperature, MAX_TEMPERATURE)
        elif temperature != 1:
            dropped.append("temperature")
    if top_p is not None and top_p != 1:
        near_default = thinks and top_p >= MIN_TOP_P_THINKING and traits(model).sampling
        if near_default or (can_sample and temperature is None):
            body["top_p"] = top_p
        else:
            dropped.append("top_p")
    if top_k is not None:
        if can_sample:
            body["top_k"] = top_k
        else:
            dropped.append("top_k")
