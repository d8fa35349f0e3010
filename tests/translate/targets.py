"""The target dialects: writer, model, and validation by the provider's own SDK."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from cohere.types import ChatMessageV2, ToolV2
from google.genai import types as genai
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from app.translate.chat import requests
from app.translate.cohere import requests as cohere_requests
from app.translate.converse import families
from app.translate.gemini import requests as gemini_requests
from app.translate.messages import requests as messages_requests
from app.translate.neutral import Request, Written
from tests.translate import messages_types

CHAT = TypeAdapter(CompletionCreateParamsNonStreaming)
COHERE_MESSAGES, COHERE_TOOLS = TypeAdapter(list[ChatMessageV2]), TypeAdapter(list[ToolV2])
COHERE_ROW = {"messages", "tools", "temperature", "p", "k", "frequency_penalty", "presence_penalty", "max_tokens"}
CONVERSE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("Converse")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`checked` raises if the SDK's types reject a body."""

    model: str
    write: Callable[[Request], Written]
    checked: Callable[[Any], None]


def chat(body: Any) -> None:
    """Check a chat request; unknown fields are an error."""
    assert _consumed(CHAT.validate_python(body)) == body


def nameless_chat(body: Any) -> None:
    """Check a chat request without a model."""
    assert "model" not in body
    chat({**body, "model": "m"})


def message(body: Any) -> None:
    """Check Anthropic's Messages."""
    messages_types.valid(body)


def cloud_message(body: Any) -> None:
    """Check Messages as Bedrock and Vertex take them."""
    assert "model" not in body
    rest = {name: value for name, value in body.items() if name != "anthropic_version"}
    assert body["anthropic_version"] in ("bedrock-2023-05-31", "vertex-2023-10-16")
    messages_types.valid({"model": "claude-sonnet-4-5", **rest})


def gemini(body: Any) -> None:
    """Check Google's GenerateContentRequest; its types reject unknown fields."""
    assert set(body) <= {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        genai.Content.model_validate(content)
    genai.GenerationConfig.model_validate(body.get("generationConfig", {}))
    genai.ToolConfig.model_validate(body.get("toolConfig", {}))
    for tool in body.get("tools", []):
        genai.Tool.model_validate(tool)


def converse(body: Any) -> None:
    """Check Converse."""
    shape = CONVERSE.input_shape
    data = ParamValidator().validate({**_unpacked(body), "modelId": "m"}, shape)
    assert not data.has_errors(), data.generate_report()


def nova(body: Any) -> None:
    """Check Nova's InvokeModel, which differs from Converse in some names."""
    assert body["schemaVersion"] == "messages-v1"
    rest = {name: value for name, value in body.items() if name != "schemaVersion"}
    config = {name: value for name, value in body.get("inferenceConfig", {}).items() if name != "topK"}
    converse({**rest, **({"inferenceConfig": config} if config else {})})


def prompt(body: Any) -> None:
    """Check the prompt that older models take."""
    assert isinstance(body["prompt"], str) and body["prompt"]


def cohere_row(body: Any) -> None:
    """Check a row of Cohere's batches: the types of its chat, except that images and schemas are strings."""
    assert set(body) <= COHERE_ROW | {"seed", "logprobs", "reasoning", "thinking_budget"}
    own = orjson.loads(orjson.dumps(body))
    for text in own["messages"]:
        for part in text.get("content", []):
            if part["type"] == "image_url":
                part["image_url"] = {"url": part["image_url"]}
    for tool in own.get("tools", []):
        tool["function"]["parameters"] = orjson.loads(tool["function"]["parameters"])
    cohere_line(own)


def cohere_line(body: Any) -> None:
    """Check Cohere's chat."""
    COHERE_MESSAGES.validate_python(body["messages"])
    COHERE_TOOLS.validate_python(body.get("tools", []))


def _family(model: str, mode: str = "invoke") -> Callable[[Request], Written]:
    return lambda request: families.family(model, mode=mode).write(request)


CLAUDE, GEMINI, GEMINI_3 = "claude-sonnet-4-5", "gemini-2.5-flash", "gemini-3-pro-preview"
BEDROCK_CLAUDE, NOVA, GPT_OSS = "anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-lite-v1:0", "openai.gpt-oss-120b-1:0"
LLAMA, COMMAND = "meta.llama3-1-8b-instruct-v1:0", "command-a-03-2025"
DIALECTS: dict[str, Dialect] = {
    "chat": Dialect("gpt-5", requests.write, chat),
    "anthropic": Dialect(CLAUDE, messages_requests.write, message),
    "vertex claude": Dialect(CLAUDE, lambda request: messages_requests.write(request, flavour="vertex"), cloud_message),
    "bedrock claude": Dialect(BEDROCK_CLAUDE, _family(BEDROCK_CLAUDE), cloud_message),
    "bedrock nova": Dialect(NOVA, _family(NOVA), nova),
    "bedrock converse": Dialect(NOVA, _family(NOVA, "converse"), converse),
    "bedrock openai": Dialect(GPT_OSS, _family(GPT_OSS), nameless_chat),
    "bedrock llama": Dialect(LLAMA, _family(LLAMA), prompt),
    "gemini": Dialect(GEMINI, gemini_requests.write, gemini),
    "gemini 3": Dialect(GEMINI_3, gemini_requests.write, gemini),
    "vertex": Dialect(GEMINI, lambda request: gemini_requests.write(request, flavour="vertex"), gemini),
    "cohere": Dialect(COMMAND, cohere_requests.write, cohere_row),
    "cohere line": Dialect(COMMAND, cohere_requests.write_line, cohere_line),
}


def leaves(value: Any) -> Iterator[str]:
    """Return every string in a JSON value, including member names and JSON within strings."""
    if isinstance(value, str):
        yield value
        if value[:1] in ("{", "["):
            try:
                yield from leaves(orjson.loads(value))
            except orjson.JSONDecodeError:
                return
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from leaves(item)


def _consumed(value: Any) -> Any:
    """Resolve the lists that the types validate lazily."""
    if isinstance(value, dict):
        return {name: _consumed(item) for name, item in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return value
    return [_consumed(item) for item in value]


def _unpacked(value: Any) -> Any:
    """Decode base64 data to the bytes that the SDK takes; leave numbers of schemas as they are."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item) if name == "bytes" and isinstance(item, str) else _unpacked(item)
            for name, item in value.items()
        }
    return [_unpacked(item) for item in value] if isinstance(value, list) else value
