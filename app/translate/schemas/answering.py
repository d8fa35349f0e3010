"""A tool that the model calls to answer, where a schema cannot be enforced in another way."""

from app.lib import json
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Json, Part, ResponseFormat, Thinking, Tool, ToolCall

ANSWER_TOOL = "batchgate_answer"
NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def check_names(tools: list[Tool]) -> None:
    """Raise TranslationError for a tool of the same name, whose calls would be taken for answers."""
    if any(tool.name == ANSWER_TOOL for tool in tools):
        raise TranslationError("tools", f"{ANSWER_TOOL} is reserved for the gateway; rename the tool.")


def answer_tool(spec: ResponseFormat) -> Tool:
    """Return the tool for the schema of `spec`. Raises TranslationError when a tool cannot stand for it."""
    schema = spec.schema or NO_PARAMETERS
    if schema.get("type", "object") != "object":
        raise TranslationError(
            "response_format", "the schema must be of type object: this model answers in JSON objects."
        )
    return Tool(ANSWER_TOOL, spec.description or "Give the answer.", schema)


def extract_answer(parts: list[Part]) -> list[Part]:
    """Return the parts of an answer with calls of the tool turned into text, or `parts` itself if there are none.

    Raises UnexpectedAnswerError. Text beside such a call is not part of the answer, so it counts as thinking.
    """
    for part in parts:  # nearly every answer
        if _is_answer(part):
            break
    else:
        return parts
    others: list[Part] = [part for part in parts if not _is_answer(part)]
    texts = [_text(part) for part in parts if isinstance(part, ToolCall) and _is_answer(part)]
    return [*(Thinking(part) if isinstance(part, str) else part for part in others), *texts]


def _is_answer(part: Part) -> bool:
    return type(part) is ToolCall and part.name == ANSWER_TOOL


def _text(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    try:
        return json.dumps(call.arguments).decode()
    except json.JSONEncodeError as error:
        raise UnexpectedAnswerError("The provider's answer is nested too deeply.") from error
