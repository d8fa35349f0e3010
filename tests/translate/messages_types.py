"""Validation of Anthropic's Messages with the SDK's types and the checks of the fake."""

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from tests.fakes.anthropic_messages import chat_of

PARAMS = TypeAdapter(MessageCreateParamsNonStreaming)


def valid(body):
    """Return `body` if the SDK's types accept it at every depth, including lists that they validate lazily."""
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
