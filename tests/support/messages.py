"""Lines of /v1/messages, and answers to them held against Anthropic's own types."""

from typing import Any

from anthropic.types import Message

from app.lib import json

MESSAGES = "/v1/messages"
WEATHER = {
    "name": "weather",
    "description": "What the weather is.",
    "input_schema": {"type": "object", "properties": {"seed": {"type": "string"}}},
}


def message_line(custom_id: str, text: str = "hello", **body: Any) -> dict[str, Any]:
    """One line of a batch input."""
    full = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": MESSAGES, "body": full}


def message_of(line: dict[str, Any]) -> Message:
    """The answer in an output line; fails unless it is a message in the SDK's strict eyes."""
    assert (line["response"]["status_code"], line["error"]) == (200, None)
    return Message.model_validate_json(json.dumps(line["response"]["body"]), strict=True)


def text_of(message: Message) -> str:
    """All text of a message."""
    return "".join(block.text for block in message.content if block.type == "text")
