"""Tools of a chat request, and the choice among them."""

from typing import Any

from app.translate.errors import TranslationError, describe
from app.translate.neutral import Json, Request, Tool

WRONG_TYPE = "wrong_type"
CHOICES = ("auto", "none", "required")
INVALID_CHOICE = "must be auto, none, required, a function, or a list of allowed tools."


def read_tools(request: Request, value: Any) -> None:
    """Read the tools into `request`. Raises TranslationError."""
    if not isinstance(value, list):
        raise TranslationError("tools", "must be a list.", code=WRONG_TYPE)
    for position, tool in enumerate(value):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind != "function":
            raise TranslationError(f"tools[{position}].type", f"{describe(kind)} is not supported: only functions are.")
        request.tools.append(_tool(tool.get("function"), f"tools[{position}].function"))


def _tool(function: Any, path: str) -> Tool:
    if not isinstance(function, dict):
        raise TranslationError(path, "must be an object.", code=WRONG_TYPE)
    name, description = function.get("name"), function.get("description")
    parameters, strict = function.get("parameters"), function.get("strict")
    if not isinstance(name, str) or not name:
        raise TranslationError(f"{path}.name", "must be a string.", code=WRONG_TYPE)
    if description is not None and not isinstance(description, str):
        raise TranslationError(f"{path}.description", "must be a string.", code=WRONG_TYPE)
    if parameters is not None and not isinstance(parameters, dict):
        raise TranslationError(f"{path}.parameters", "must be a JSON schema.", code=WRONG_TYPE)
    if strict is not None and not isinstance(strict, bool):
        raise TranslationError(f"{path}.strict", "must be true or false.", code=WRONG_TYPE)
    return Tool(name, description, parameters or None, strict)


def read_tool_choice(request: Request, value: Any) -> None:
    """Read the choice into `request`, whose tools have been read. Raises TranslationError."""
    if value is None:
        return
    if value in CHOICES:
        request.settings["tool_choice"] = value
        return
    kind = value.get("type") if isinstance(value, dict) else None
    inner = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, dict) or kind not in ("function", "allowed_tools"):
        raise TranslationError("tool_choice", INVALID_CHOICE)
    if kind == "allowed_tools":
        _allow(request, inner)
        return
    if not isinstance(inner.get("name"), str):
        raise TranslationError("tool_choice.function.name", "must be a string.", code=WRONG_TYPE)
    request.settings["tool_name"] = inner["name"]


def _allow(request: Request, allowed: Json) -> None:
    """Keep only the allowed tools in `request`, which has the same effect."""
    mode, tools = allowed.get("mode"), allowed.get("tools")
    if mode not in ("auto", "required"):
        raise TranslationError("tool_choice.allowed_tools.mode", "must be auto or required.", code=WRONG_TYPE)
    if not isinstance(tools, list):
        raise TranslationError("tool_choice.allowed_tools.tools", "must be a list.", code=WRONG_TYPE)
    names = set()
    for number, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str):
            raise TranslationError(f"tool_choice.allowed_tools.tools[{number}]", "must name a function.")
        names.add(name)
    kept = [tool for tool in request.tools if tool.name in names]
    if not kept:
        raise TranslationError("tool_choice.allowed_tools.tools", "does not name any of the request's tools.")
    request.tools[:] = kept
    request.settings["tool_choice"] = mode


def write_tools(request: Request, body: Json) -> None:
    """Write the tools of `request`, and the one that must be called, into a chat request's body."""
    if request.tools:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
    if "tool_name" in request.settings:
        body["tool_choice"] = {"type": "function", "function": {"name": request.settings["tool_name"]}}


def _function(tool: Tool) -> Json:
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function
