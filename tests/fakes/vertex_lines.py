"""What Vertex's models take and answer, in rows of jobs and one by one, by the model that all fakes share."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.fakes import anthropic_messages, gemini_dialect, model_rules
from tests.fakes.gemini_dialect import expect, message
from tests.fakes.openai_app import OpenAIApp, Refusal
from tests.fakes.provider_app import Body

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
# The first is Vertex's own; the other is what Anthropic's SDK sends there by now.
VERSION = re.compile(r"vertex-2023-10-16|2026-\d\d-\d\d")
LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64


def check_labels(labels: Any) -> None:
    expect(isinstance(labels, dict) and len(labels) <= MOST_LABELS, "labels must be a map of at most 64")
    for name, value in labels.items():
        fits = LABEL_NAME.fullmatch(name) and isinstance(value, str) and LABEL.fullmatch(value)
        expect(bool(fits), f"Invalid label: {name}={value}")


def generated(model: OpenAIApp, request: Any, name: str) -> Body:
    """What a model of Gemini's answers."""
    chat = {**gemini_dialect.to_chat(request, name, also={"labels": dict}), "model": name}
    check_labels(request.get("labels", {}))
    model_rules.gemini(request, name, vertex=True)
    if gemini_dialect.is_blocked(chat):
        return gemini_dialect.blocked(name)
    return gemini_dialect.from_chat([model.routes[CHAT](chat) for _ in range(chat.get("n", 1))], name)


def messaged(model: OpenAIApp, request: Any, name: str) -> Body:
    """What a model of Claude's answers; the model is named outside of the request, the version within."""
    expect(isinstance(request, dict), "request must be an object")
    expect(bool(VERSION.fullmatch(request.get("anthropic_version", ""))), "anthropic_version: Field required")
    expect(not {"model", "stream"} & {name for name in request if request[name] is not False}, "Extra inputs")
    chat = anthropic_messages.chat_of({**request, "model": name})
    return anthropic_messages.message_of(model.routes[CHAT](chat), tier="batch")


def embedded(model: OpenAIApp, request: Any) -> Body:
    """The vector of one content, as models of Gemini's make it when they are asked singly."""
    asked = message(request, {"content": dict, "embedContentConfig": dict}, "request")
    return _embedding(model, {"content": asked.get("content", {}), **asked.get("embedContentConfig", {})})


def many(model: OpenAIApp, request: Any) -> Body:
    """The vectors of many contents."""
    asked = message(request, {"requests": list}, "request")["requests"]
    found = [embedded(model, item) for item in asked]
    tokens = sum(item["usageMetadata"]["promptTokenCount"] for item in found)
    return {"embeddings": [item["embedding"] for item in found], "usageMetadata": {"promptTokenCount": tokens}}


def predicted(model: OpenAIApp, request: Any) -> Body:
    """The vectors that older models make."""
    asked = message(request, {"instances": list, "parameters": dict}, "request")
    message(asked.get("parameters", {}), {"outputDimensionality": int, "autoTruncate": bool}, "parameters")
    found = []
    for instance in asked["instances"]:
        told = message(instance, {"content": str, "taskType": str, "title": str}, "instances")
        answer = model.routes[EMBEDDINGS]({"model": "m", "input": told["content"]})
        statistics = {"token_count": float(answer["usage"]["prompt_tokens"]), "truncated": False}
        found.append({"embeddings": {"values": answer["data"][0]["embedding"], "statistics": statistics}})
    return {"predictions": found}


def row(model: OpenAIApp, line: Body, resource: str) -> tuple[int, Body]:
    """(the status of a line, its row in the results), by the model that `resource` names."""
    publisher, _, name = resource.removeprefix("publishers/").rpartition("/models/")
    moment = datetime.now(UTC).isoformat()
    told: Body = {"status": "", "processed_time": moment, "request": line.get("request")}
    if publisher == "anthropic":
        told = {"custom_id": line.get("custom_id"), **told}
        run: Callable[[], Body] = lambda: messaged(model, _whole(line, "custom_id"), name)  # noqa: E731
    elif "embedding" in name:
        told = {"key": line.get("key"), **told}
        run = lambda: _embedding(model, _whole(line, "key"))  # noqa: E731
    else:
        run = lambda: generated(model, _whole(line), name)  # noqa: E731
    try:
        return 200, {**told, "response": run()}
    except Refusal as refusal:
        return refusal.status, {**told, "status": _status(refusal, plain=publisher == "anthropic"), "response": {}}


def _whole(line: Body, *also: str) -> Any:
    """The request of a line that has what it needs and nothing else."""
    expect(set(line) == {"request", *also}, "a line has a request")
    for name in also:
        expect(isinstance(line[name], str) and bool(line[name]), f"{name} must be a string")
    return line["request"]


def _status(refusal: Refusal, *, plain: bool) -> str:
    error: Body = {"code": refusal.status, "message": refusal.body["error"]["message"]}
    if plain:
        return orjson.dumps(error).decode()
    return f"Bad Request: {orjson.dumps({'error': {**error, 'status': 'INVALID_ARGUMENT'}}).decode()}"


def _embedding(model: OpenAIApp, request: Any) -> Body:
    answer = model.routes[EMBEDDINGS]({"model": "m", "input": gemini_dialect.text_to_embed(request)})
    usage = {"promptTokenCount": answer["usage"]["prompt_tokens"]}
    return {"embedding": {"values": answer["data"][0]["embedding"]}, "usageMetadata": usage}
