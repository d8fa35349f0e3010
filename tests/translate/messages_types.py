"""Bodies of Anthropic's Messages held against the SDK's types, and against the checks of the fake."""

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from tests.fakes.anthropic_messages import chat_of

PARAMS = TypeAdapter(MessageCreateParamsNonStreaming)


def valid(body):
    """`body`, which the SDK's types allow at every depth; lists are looked into, which its types leave for later."""
    _exhaust(PARAMS.validate_python(body))
    chat_of({"model": "claude-sonnet-4-5", **body})
    return body


def _exhaust(value):
    if isinstance(value, dict):
        for inner in value.values():
            _exhaust(inner)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for inner in value:
            _exhaust(inner)
