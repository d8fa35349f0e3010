"""What a request of Converse, or of Nova's InvokeModel, asks for besides its turns (contracts: providers, 28.2)."""

from typing import Any, Literal, cast

from app.lib import json
from app.translate.errors import TranslationError
from app.translate.messages import settings as messages_settings
from app.translate.messages.settings import MAY_BE_NOTHING
from app.translate.neutral import Json, Request, ResponseFormat, Settings, Tool

Style = Literal["nova", "converse"]
# A tool that stands for the answer, where answers of a given schema have no other form.
ANSWER_TOOL = "batchgate_answer"
NO_PARAMETERS: Json = {"type": "object", "properties": {}}
MOST_TEMPERATURE = 1
# Handled beside the others.
SPECIAL = frozenset({"top_k", "tool_choice", "tool_name", "response_format", "reasoning_effort", "thinking_budget"})
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
REASONS = "nova-2"  # the first generation does not think
CLAUDE = "anthropic.claude"
# Of Claude's own settings: where Converse has them.
CLAUDE_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}
CLAUDE_OWN = ("top_k", "thinking")


def write(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
    """Put the settings and tools into `body`. Adds to `dropped`; raises TranslationError."""
    settings = request.settings
    if style == "converse" and CLAUDE in request.model:
        refuse_candidates(settings)
        _refuse_tools(request)
        _as_claude(request, body, dropped)
        return
    inference: Json = {}
    special = bool(request.tools)
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
            special = True
        elif name in ("n", "modalities"):
            refuse_candidates(settings)
        elif (value or name not in MAY_BE_NOTHING) and not (name == "parallel_tool_calls" and value):
            dropped.append(name)
    if inference:
        body["inferenceConfig"] = inference
    if special:
        _top_k(request, body, style, dropped)
        forced = _tools(request, body, style, dropped)
        _reasoning(request, body, style, forced, dropped)


def refuse_candidates(settings: Settings) -> None:
    """Raises TranslationError for what no model of Bedrock gives: many candidates, other answers than text."""
    if settings.get("n", 1) != 1:
        raise TranslationError("n", "this model gives one answer.")
    if not set(settings.get("modalities", [])) <= {"text"}:
        raise TranslationError("modalities", "this model answers in text alone.")


def _temperature(value: float, dropped: list[str]) -> float:
    """At most 1, as more is refused; told, as it is not what the caller asked for."""
    if value > MOST_TEMPERATURE:
        dropped.append("temperature")
    return min(value, MOST_TEMPERATURE)


def _additional(body: Json) -> Json:
    return cast(Json, body.setdefault("additionalModelRequestFields", {}))


def _as_claude(request: Request, body: Json, dropped: list[str]) -> None:
    """What Claude takes differs from model to model, and is known of its own dialect."""
    limit = request.settings.get("max_tokens")
    own: Json = {"max_tokens": limit or messages_settings.DEFAULT_MAX_TOKENS}
    messages_settings.write(Request(request.model, [], request.settings), own, "bedrock", dropped)
    inference = {name: own[theirs] for theirs, name in CLAUDE_INFERENCE.items() if theirs in own}
    if limit is None and own["max_tokens"] == messages_settings.DEFAULT_MAX_TOKENS:
        del inference["maxTokens"]
    if "stop_sequences" in own:
        inference["stopSequences"] = own["stop_sequences"]
    if inference:
        body["inferenceConfig"] = inference
    for name in CLAUDE_OWN:
        if name in own:
            _additional(body)[name] = own[name]
    output: Json = {}
    told = own.get("output_config", {})
    if "format" in told:
        output["textFormat"] = _format(request.settings["response_format"], told["format"]["schema"])
    if "effort" in told:
        output["effort"] = told["effort"]
    if output:
        body["outputConfig"] = output
    if "metadata" in own:
        dropped.append("user")


def _top_k(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
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


def _reasoning(request: Request, body: Json, style: Style, forced: bool, dropped: list[str]) -> None:
    """Thinking, of Nova's second generation; where a call is demanded nothing is thought."""
    effort, budget = request.settings.get("reasoning_effort"), request.settings.get("thinking_budget")
    if budget:
        dropped.append("thinking_budget")
    if effort is None and budget is None:
        return
    off = effort == "none" or budget == 0
    if effort is not None and not off and effort not in EFFORTS:
        raise TranslationError("reasoning_effort", f"must be none or one of {', '.join(EFFORTS)}.")
    if REASONS not in request.model or forced:
        if effort is not None and not off:
            dropped.append("reasoning_effort")
        return
    if off:
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
    """High effort goes with no other setting: a limit on tokens is kept before it, sampling is left out."""
    inference = body.get("inferenceConfig", {})
    if effort != "high":
        return effort
    if "maxTokens" in inference:
        dropped.append("reasoning_effort")
        return "medium"
    for own, name in (("temperature", "temperature"), ("topP", "top_p"), ("topK", "top_k")):
        if inference.pop(own, None) is not None and name not in dropped:
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
        raise TranslationError("tools", "batches of Converse take none; use the model's own mode, invoke.")


def _tools(request: Request, body: Json, style: Style, dropped: list[str]) -> bool:
    """Put the tools, and the form of the answer; True when a call is demanded."""
    settings = request.settings
    wanted = settings.get("response_format")
    if wanted is not None and wanted.schema is None:
        dropped.append("response_format")
        wanted = None
    choice = _choice(settings)
    if choice != {"auto": {}} and not request.tools:
        raise TranslationError("tool_choice", "demands a call, and the request has no tools.")
    if style == "converse":
        _refuse_tools(request)
        if wanted is not None:
            body["outputConfig"] = {"textFormat": _format(wanted, wanted.schema or {})}
        return False
    tools = [] if settings.get("tool_choice") == "none" else [_tool(tool, dropped) for tool in request.tools]
    if any(tool.name == ANSWER_TOOL for tool in request.tools):
        raise TranslationError("tools", f"{ANSWER_TOOL} is a name that the gateway needs itself.")
    if wanted is not None and choice == {"auto": {}}:
        tools.append(_answer_tool(wanted))
        # Answering is one of the things that the model may do, and it has to do one.
        choice = {"any": {}} if len(tools) > 1 else {"tool": {"name": ANSWER_TOOL}}
    if tools:
        body["toolConfig"] = {"tools": tools, "toolChoice": choice}
    return choice != {"auto": {}}


def _choice(settings: Settings) -> Json:
    if "tool_name" in settings:
        return {"tool": {"name": settings["tool_name"]}}
    return {"any": {}} if settings.get("tool_choice") == "required" else {"auto": {}}


def _tool(tool: Tool, dropped: list[str]) -> Json:
    parameters = tool.parameters or NO_PARAMETERS
    if "type" not in parameters:
        parameters = {"type": "object", **parameters}
    spec: Json = {"name": tool.name, "inputSchema": {"json": parameters}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict and "strict" not in dropped:
        dropped.append("strict")
    return {"toolSpec": spec}


def _answer_tool(wanted: ResponseFormat) -> Json:
    schema = wanted.schema or NO_PARAMETERS
    if schema.get("type", "object") != "object":
        raise TranslationError("response_format", "this model answers with JSON objects only: its schema must be one.")
    return _tool(Tool(ANSWER_TOOL, wanted.description or "Give the answer.", schema), [])


def _format(wanted: ResponseFormat, schema: Any) -> Json:
    told: Json = {"name": wanted.name, "schema": json.dumps(schema).decode()}
    if wanted.description is not None:
        told["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": told}}
