"""Requests of Amazon's Converse, and of Nova's InvokeModel, which differs in little (contracts: providers, 28.2)."""

from typing import Any, Literal, cast

from app.lib import json
from app.translate.converse_blocks import blocks, result
from app.translate.errors import TranslationError
from app.translate.neutral import Json, Request, ResponseFormat, Settings, Tool, ToolResult, Written

Style = Literal["nova", "converse"]
# A tool that stands for the answer, where answers of a given schema have no other form.
ANSWER_TOOL = "batchgate_answer"
NO_PARAMETERS: Json = {"type": "object", "properties": {}}
INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
# Handled beside the others, or refused before.
SPECIAL = frozenset({"top_k", "tool_choice", "tool_name", "response_format", "reasoning_effort", "n", "modalities"})
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
REASONS = "amazon.nova-2"  # the first generation does not think


def write(request: Request, *, style: Style) -> Written:
    """The request without its model, which the job names. Raises TranslationError naming what it cannot say."""
    messages: list[Json] = []
    system: list[Json] = []
    dropped = [*request.dropped]
    body: Json = {"schemaVersion": "messages-v1", "messages": messages} if style == "nova" else {"messages": messages}
    last = ""
    for role, content in request.turns:
        if type(content) is str:
            # Blocks of nothing but white space are refused.
            made: list[Json] = [{"text": content}] if content and not content.isspace() else []
        elif isinstance(content, ToolResult):
            made = [result(content, dropped)]
        else:
            made = blocks(role, cast("list[Any]", content), dropped, thoughts=style == "converse")
        if not made:
            continue
        own = "user" if role == "tool" else role
        if own == "system":
            system += made
        elif own == last:
            messages[-1]["content"] += made
        else:
            messages.append({"role": own, "content": made})
            last = own
    if not messages:
        raise TranslationError("messages", "the model needs at least one turn of the user that is not empty.")
    if system:
        if any("text" not in block for block in system):
            raise TranslationError("messages", "what the system says must be text.")
        body["system"] = system
    if request.settings or request.tools:
        _settings(request, body, style, dropped)
    return Written(body, dropped)


def refuse_candidates(settings: Settings) -> None:
    """Raises TranslationError for what no model of Bedrock gives: many candidates, other answers than text."""
    if settings.get("n", 1) != 1:
        raise TranslationError("n", "this model gives one answer.")
    if set(settings.get("modalities", ["text"])) != {"text"}:
        raise TranslationError("modalities", "this model answers in text alone.")


def _settings(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
    settings = request.settings
    refuse_candidates(settings)
    inference: Json = {}
    for name, value in settings.items():
        if name in INFERENCE:
            inference[INFERENCE[name]] = value
        elif name not in SPECIAL and not (name == "parallel_tool_calls" and value):
            dropped.append(name)
    if "top_k" in settings:
        if style == "nova":
            inference["topK"] = settings["top_k"]
        else:
            _additional(body)["inferenceConfig" if "nova" in request.model else "top_k"] = (
                {"topK": settings["top_k"]} if "nova" in request.model else settings["top_k"]
            )
    if inference:
        body["inferenceConfig"] = inference
    _reasoning(request, body, style, dropped)
    _tools(request, body, style, dropped)


def _additional(body: Json) -> Json:
    return cast(Json, body.setdefault("additionalModelRequestFields", {}))


def _reasoning(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
    effort = request.settings.get("reasoning_effort")
    if effort is None:
        return
    if REASONS not in request.model:
        if effort != "none":
            dropped.append("reasoning_effort")
        return
    if effort != "none" and effort not in EFFORTS:
        raise TranslationError("reasoning_effort", f"must be none or one of {', '.join(EFFORTS)}.")
    config = {"type": "enabled", "maxReasoningEffort": EFFORTS[effort]} if effort != "none" else {"type": "disabled"}
    (body if style == "nova" else _additional(body))["reasoningConfig"] = config


def _tools(request: Request, body: Json, style: Style, dropped: list[str]) -> None:
    settings = request.settings
    wanted = settings.get("response_format")
    if wanted is not None and wanted.schema is None:
        dropped.append("response_format")
        wanted = None
    tools = [] if settings.get("tool_choice") == "none" else [_tool(tool) for tool in request.tools]
    choice = _choice(settings)
    if style == "converse":
        if tools:
            raise TranslationError("tools", "batches of Converse take none; use the model's own mode, invoke.")
        if wanted is not None:
            body["outputConfig"] = {"textFormat": _format(wanted)}
        return
    if wanted is not None and choice == {"auto": {}}:
        # Answering is one of the things that the model may do, and it has to do one.
        answer = Tool(ANSWER_TOOL, wanted.description or "Give the answer.", wanted.schema or None)
        tools.append(_tool(answer))
        choice = {"any": {}} if len(tools) > 1 else {"tool": {"name": ANSWER_TOOL}}
    if tools:
        body["toolConfig"] = {"tools": tools, "toolChoice": choice}


def _choice(settings: Settings) -> Json:
    if "tool_name" in settings:
        return {"tool": {"name": settings["tool_name"]}}
    return {"any": {}} if settings.get("tool_choice") == "required" else {"auto": {}}


def _tool(tool: Tool) -> Json:
    spec: Json = {"name": tool.name, "inputSchema": {"json": tool.parameters or NO_PARAMETERS}}
    if tool.description:
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _format(wanted: ResponseFormat) -> Json:
    schema: Json = {"name": wanted.name, "schema": json.dumps(wanted.schema).decode()}
    if wanted.description is not None:
        schema["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
