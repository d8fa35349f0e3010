"""Write tools, the choice among them, and the answer's format in Anthropic's Messages (contracts: providers, 28.1)."""

from app.translate.errors import TranslationError
from app.translate.messages.blocks import Flavour
from app.translate.messages.models import traits
from app.translate.neutral import Json, Request, ResponseFormat, Tool, ToolCall
from app.translate.schemas import strict
from app.translate.schemas.answering import ANSWER_TOOL, NO_PARAMETERS, answer_tool, check_names
from app.translate.schemas.convert import COMBINED, Converted

# Limits of one request: strict tools, and properties in the schemas of these and of the format.
MAX_STRICT_TOOLS = 20
MAX_OPTIONAL = 24
MAX_UNIONS = 16
# Where tools may be strict. At Bedrock some models refuse it and others do not, whatever their version.
STRICT: frozenset[Flavour] = frozenset({"anthropic", "vertex"})


def write(request: Request, body: Json, flavour: Flavour, dropped: list[str]) -> bool:
    """Write the tools and the format into `body`; returns True when the model must call a tool.

    Adds to `dropped`; raises TranslationError.
    """
    check_names(request.tools)
    budget = _Budget()
    asking = _write_format(request, body, budget, dropped)
    tools = request.tools if asking is None else [*request.tools, asking]
    if tools:
        may_be_strict = flavour in STRICT and traits(request.model).structured
        written = [_write_tool(tool, budget if may_be_strict else None, dropped) for tool in tools]
        body["tools"] = [*body.get("tools", ()), *written]
    if asking is None:
        return _write_choice(request, body)
    is_only = not request.tools or request.settings.get("tool_choice") == "none"
    body["tool_choice"] = {"type": "tool", "name": ANSWER_TOOL} if is_only else {"type": "any"}
    if request.settings.get("parallel_tool_calls") is False:
        body["tool_choice"]["disable_parallel_tool_use"] = True
    return True


def declare(request: Request, body: Json) -> None:
    """Declare the tools that only the history of `request` names, without letting the model call them."""
    names = {
        part.name: None
        for _, content in request.turns
        if isinstance(content, list)
        for part in content
        if isinstance(part, ToolCall)
    }
    if names:
        body["tools"] = [{"name": name, "input_schema": NO_PARAMETERS} for name in names]
        body["tool_choice"] = {"type": "none"}


class _Budget:
    """What the strict schemas of a request may still have."""

    def __init__(self) -> None:
        self._tools, self._optional, self._unions = MAX_STRICT_TOOLS, MAX_OPTIONAL, MAX_UNIONS

    def takes(self, converted: Converted, *, tools: int) -> bool:
        """True if a schema fits; what it uses is gone for later ones."""
        left = (self._tools - tools, self._optional - converted.optional, self._unions - converted.unions)
        if min(left) < 0:
            return False
        self._tools, self._optional, self._unions = left
        return True


def _write_format(request: Request, body: Json, budget: _Budget, dropped: list[str]) -> Tool | None:
    """Write the format, or return the tool that stands for a schema that structured outputs cannot have."""
    settings = request.settings
    spec = settings.get("response_format")
    if spec is None:
        return None
    if not spec.schema:
        dropped.append("response_format")
        return None
    try:
        converted = _structured(request.model, spec.schema, budget)
    except TranslationError:
        if traits(request.model).off != "disabled":  # a model that always thinks cannot be made to call a tool
            raise
        return _asking(request, spec, dropped)
    body["output_config"] = {"format": {"type": "json_schema", "schema": converted.schema}}
    dropped += converted.dropped
    return None


def _structured(model: str, schema: Json, budget: _Budget) -> Converted:
    """Return a schema for structured outputs. Raises TranslationError if they cannot have it."""
    if not traits(model).structured:
        raise TranslationError("response_format", f"{model} has no structured outputs.")
    converted = strict.convert(schema, "response_format")
    if not budget.takes(converted, tools=0):
        limits = f"{MAX_OPTIONAL} optional properties and {MAX_UNIONS} of several types"
        raise TranslationError("response_format", f"the schema must have at most {limits}.")
    return converted


def _asking(request: Request, spec: ResponseFormat, dropped: list[str]) -> Tool | None:
    """Return the tool that the model must call to answer, unless another call is demanded."""
    if "tool_name" in request.settings or request.settings.get("tool_choice") == "required":
        return None
    tool = answer_tool(spec)
    if spec.strict:
        dropped.append("response_format.strict")
    return tool


def _write_tool(tool: Tool, budget: _Budget | None, dropped: list[str]) -> Json:
    """Write a tool, strictly if it asks for that and the rest of `budget` allows it (None: never)."""
    schema = tool.parameters or NO_PARAMETERS
    combined = next((name for name in COMBINED if name in schema), None)
    if combined is not None:
        raise TranslationError(
            "tools", f"Claude takes no {combined} at the top of the parameters of {tool.name!r:.60}."
        )
    written: Json = {"name": tool.name, "input_schema": schema if "type" in schema else {"type": "object", **schema}}
    if tool.description:
        written["description"] = tool.description
    if not tool.strict:
        return written
    converted = None if budget is None else _strictly(tool)
    if budget is not None and converted is not None and budget.takes(converted, tools=1):
        written["strict"], written["input_schema"] = True, converted.schema
        dropped.extend(name for name in converted.dropped if name not in dropped)
    elif "strict" not in dropped:
        dropped.append("strict")
    return written


def _strictly(tool: Tool) -> Converted | None:
    """Return the schema of a tool for constrained calls, None if there is no equivalent."""
    parameters = tool.parameters or NO_PARAMETERS
    schema = {"type": "object", **parameters}
    if parameters.get("properties") == {}:  # a tool without parameters, rather than with any
        schema.setdefault("additionalProperties", False)
    try:
        return strict.convert(schema, "tools")
    except TranslationError:
        return None


def _write_choice(request: Request, body: Json) -> bool:
    """Write the tool choice; returns True when the model must call a tool."""
    settings = request.settings
    choice, name = settings.get("tool_choice"), settings.get("tool_name")
    single = settings.get("parallel_tool_calls") is False
    if not request.tools:
        if name is not None or choice == "required":
            raise TranslationError("tool_choice", "requires a tool call, but the request has no tools.")
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
