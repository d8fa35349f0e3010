"""Write settings and tools of Converse and of Nova's InvokeModel (contracts: providers, 28.2)."""

from typing import Any, Literal, cast

from app.lib import json
from app.translate.converse.models import traits
from app.translate.errors import TranslationError
from app.translate.messages import settings as messages_settings
from app.translate.messages.settings import NO_EFFECT_IF_EMPTY
from app.translate.neutral import Json, Request, ResponseFormat, Settings, Tool
from app.translate.schemas import nova
from app.translate.schemas.answering import ANSWER_TOOL, NO_PARAMETERS, answer_tool, check_names

Style = Literal["nova", "converse"]
MAX_TEMPERATURE = 1
# Written after the others, since they depend on each other.
SPECIAL = frozenset({"top_k", "tool_choice", "tool_name", "response_format", "reasoning_effort", "thinking_budget"})
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
CLAUDE = "anthropic.claude"
# Claude's own settings, and their names in Converse.
CLAUDE_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}
CLAUDE_OWN = ("top_k", "thinking")


def write(request: Request, body: Json, style: Style, called: list[str], dropped: list[str]) -> None:
    """Write the settings and tools into `body`; the history calls the tools in `called`.

    Adds to `dropped`; raises TranslationError.
    """
    settings = request.settings
    if style == "converse" and CLAUDE in request.model:
        refuse_candidates(settings)
        _refuse_tools(request)
        _write_claude(request, body, dropped)
        return
    inference: Json = {}
    has_special = bool(request.tools or called)
    for name, value in settings.items():
        if name == "max_tokens":
            inference["maxTokens"] = value
        elif name == "temperature":
            inference["temperature"] = _temperature(cast(float, value), dropped)
        elif name == "top_p":
            inference["topP"] = value
        elif name == "stop":
            if stops := [stop for stop in cast("list[str]", value) if stop]:
                inference["stopSequences"] = stops
        elif name in SPECIAL:
            has_special = True
        elif name == "n":
            refuse_candidates(settings)
        elif (value or name not in NO_EFFECT_IF_EMPTY) and not (name == "parallel_tool_calls" and value):
            dropped.append(name)
    if inference:
        body["inferenceConfig"] = inference
    if has_special:
        _write_top_k(request, body, style, dropped)
        must_call = _write_tools(request, body, style, called, dropped)
        _write_reasoning(request, body, style, must_call, dropped)


def refuse_candidates(settings: Settings) -> None:
    """Raise TranslationError for several choices, which no Bedrock model supports."""
    if settings.get("n", 1) != 1:
        raise TranslationError("n", "this model supports only 1.")


def _temperature(value: float, dropped: list[str]) -> float:
    """Clamp to 1, the maximum that Bedrock accepts; a clamped value is reported in `dropped`."""
    if value > MAX_TEMPERATURE:
        dropped.append("temperature")
    return min(value, MAX_TEMPERATURE)


def _additional(body: Json) -> Json:
    return cast(Json, body.setdefault("additionalModelRequestFields", {}))


def _write_claude(request: Request, body: Json, dropped: list[str]) -> None:
    """Write Claude's settings: they depend on the model, which the Messages dialect knows."""
    limit = request.settings.get("max_tokens")
    claude: Json = {"max_tokens": limit or messages_settings.DEFAULT_MAX_TOKENS}
    messages_settings.write(Request(request.model, [], request.settings), claude, "bedrock", dropped)
    if "tools" in claude:  # one stands for the schema
        text = "structured outputs of this model cannot have the schema, such as free-form objects; use mode=invoke."
        raise TranslationError("response_format", text)
    inference = {name: claude[theirs] for theirs, name in CLAUDE_INFERENCE.items() if theirs in claude}
    if limit is None and claude["max_tokens"] == messages_settings.DEFAULT_MAX_TOKENS:
        del inference["maxTokens"]
    if "stop_sequences" in claude:
        inference["stopSequences"] = claude["stop_sequences"]
    if inference:
        body["inferenceConfig"] = inference
    for name in CLAUDE_OWN:
        if name in claude:
            _additional(body)[name] = claude[name]
    output: Json = {}
    config = claude.get("output_config", {})
    if "format" in config:
        output["textFormat"] = _write_format(request.settings["response_format"], config["format"]["schema"])
    if "effort" in config:
        output["effort"] = config["effort"]
    if output:
        body["outputConfig"] = output
    if "metadata" in claude:
        dropped.append("user")


def _write_top_k(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
    top_k = request.settings.get("top_k")
    if top_k is None:
        return
    if style == "nova":
        body.setdefault("inferenceConfig", {})["topK"] = top_k
    elif "nova" in request.model:
        _additional(body)["inferenceConfig"] = {"topK": top_k}
    elif "mistral" in request.model:
        _additional(body)["top_k"] = top_k
    else:
        dropped.append("top_k")


def _write_reasoning(request: Request, body: Json, style: Style, must_call: bool, dropped: list[str]) -> None:
    """Write thinking, which only Nova 2 supports. A mandatory tool call excludes it."""
    effort, budget = request.settings.get("reasoning_effort"), request.settings.get("thinking_budget")
    if budget:
        dropped.append("thinking_budget")
    if effort is None and budget is None:
        return
    is_off = effort == "none" or budget == 0
    if effort is not None and not is_off and effort not in EFFORTS:
        raise TranslationError("reasoning_effort", f"must be none or one of {', '.join(EFFORTS)}.")
    if not traits(request.model).thinking or must_call:
        if effort is not None and not is_off:
            dropped.append("reasoning_effort")
        return
    if is_off:
        config = {"type": "disabled"}
    elif effort is None:
        return
    else:
        config = {"type": "enabled", "maxReasoningEffort": _effort(EFFORTS[effort], body, dropped)}
    if style == "nova":
        body.setdefault("inferenceConfig", {})["reasoningConfig"] = config
    else:
        _additional(body)["reasoningConfig"] = config


def _effort(effort: str, body: Json, dropped: list[str]) -> str:
    """Return the effort. High effort excludes a token limit, which wins, and sampling, which is dropped."""
    inference = body.get("inferenceConfig", {})
    if effort != "high":
        return effort
    if "maxTokens" in inference:
        dropped.append("reasoning_effort")
        return "medium"
    for nova_name, name in (("temperature", "temperature"), ("topP", "top_p"), ("topK", "top_k")):
        if inference.pop(nova_name, None) is not None and name not in dropped:
            dropped.append(name)
    if "inferenceConfig" in _additional_of(body):
        del body["additionalModelRequestFields"]["inferenceConfig"]
        dropped.append("top_k")
    if not inference:
        body.pop("inferenceConfig", None)
    return effort


def _additional_of(body: Json) -> Json:
    return cast(Json, body.get("additionalModelRequestFields", {}))


def _refuse_tools(request: Request) -> None:
    if request.tools and request.settings.get("tool_choice") != "none":
        raise TranslationError("tools", "batches of Converse do not support tools; use the account's mode=invoke.")


def _write_tools(request: Request, body: Json, style: Style, called: list[str], dropped: list[str]) -> bool:
    """Write the tools and the response format; returns True when the model must call a tool."""
    settings = request.settings
    check_names(request.tools)
    spec = settings.get("response_format")
    if spec is not None and spec.schema is None:
        dropped.append("response_format")
        spec = None
    choice = _tool_choice(settings)
    if choice != {"auto": {}} and not request.tools:
        raise TranslationError("tool_choice", "requires a tool call, but the request has no tools.")
    if style == "converse":
        _refuse_tools(request)
        if spec is not None:
            body["outputConfig"] = {"textFormat": _write_format(spec, spec.schema or {})}
        return False
    tools = _offered(request, called, has_schema=spec is not None, dropped=dropped)
    written = [_write_tool(tool, dropped) for tool in tools]
    if spec is not None and choice == {"auto": {}}:
        written.append(_write_answer_tool(spec, dropped))
        # The model must call a tool; answering is one of them.
        is_only = not request.tools or settings.get("tool_choice") == "none"
        choice = {"tool": {"name": ANSWER_TOOL}} if is_only else {"any": {}}
    if written:
        body["toolConfig"] = {"tools": written, "toolChoice": choice}
    return choice != {"auto": {}}


def _offered(request: Request, called: list[str], *, has_schema: bool, dropped: list[str]) -> list[Tool]:
    """Return the tools to declare. Nova refuses a history of calls without any, and cannot forbid calls."""
    is_forbidden = request.settings.get("tool_choice") == "none"
    if request.tools and not is_forbidden:
        return request.tools
    if not called or not traits(request.model).history_needs_tools:
        return []
    if is_forbidden and request.tools and not has_schema:
        dropped.append("tool_choice")
    return request.tools or [Tool(name) for name in dict.fromkeys(called)]


def _tool_choice(settings: Settings) -> Json:
    if "tool_name" in settings:
        return {"tool": {"name": settings["tool_name"]}}
    return {"any": {}} if settings.get("tool_choice") == "required" else {"auto": {}}


def _write_tool(tool: Tool, dropped: list[str], param: str = "tools") -> Json:
    converted = nova.convert(tool.parameters or NO_PARAMETERS, param)
    dropped.extend(name for name in converted.dropped if name not in dropped)
    spec: Json = {"name": tool.name, "inputSchema": {"json": converted.schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict and "strict" not in dropped:
        dropped.append("strict")
    return {"toolSpec": spec}


def _write_answer_tool(spec: ResponseFormat, dropped: list[str]) -> Json:
    written = _write_tool(answer_tool(spec), dropped, "response_format")
    if spec.strict:
        dropped.append("response_format.strict")
    return written


def _write_format(spec: ResponseFormat, schema: Any) -> Json:
    json_schema: Json = {"name": spec.name, "schema": json.dumps(schema).decode()}
    if spec.description is not None:
        json_schema["description"] = spec.description
    return {"type": "json_schema", "structure": {"jsonSchema": json_schema}}
