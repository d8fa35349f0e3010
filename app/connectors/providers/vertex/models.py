"""Models at Vertex: their names, their dialects, and their vectors (contracts: providers, 7)."""

import re
from functools import lru_cache
from typing import Any, Literal

from app.connectors.shared.translated import NativeCall
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.gemini import answers, embeddings, requests
from app.translate.messages import answers as messages_answers
from app.translate.messages import requests as messages_requests
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json, Request, Usage, Written

Family = Literal["gemini", "claude"]

WHOLE = ("projects/", "publishers/")
PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]*(/[A-Za-z0-9][A-Za-z0-9._@:-]*)*")
PUBLISHED = re.compile(r"(?:projects/[^/]+/locations/[^/]+/)?publishers/([^/]+)/models/[^/]+")
MODEL = "model"


@lru_cache(maxsize=1024)
def path(model: str) -> str:
    """The resource that a model's name stands for: `publishers/google/models/...` unless the name is longer.

    Raises TranslationError for an invalid name.
    """
    if not PATH.fullmatch(model):
        raise TranslationError(MODEL, f"{model[:100]!r} is not the name of a model.")
    if model.startswith(WHOLE):
        return model
    publisher, slash, name = model.partition("/")
    if slash:
        return f"publishers/{publisher}/models/{name}"
    return f"publishers/{'anthropic' if model.startswith('claude') else 'google'}/models/{model}"


@lru_cache(maxsize=1024)
def family(model: str) -> Family:
    """The dialect of a model. Raises TranslationError for models of other publishers."""
    published = PUBLISHED.fullmatch(path(model))
    publisher = published[1] if published else "google"  # a project's own model is a tuned Gemini model
    if publisher == "google":
        return "gemini"
    if publisher == "anthropic":
        return "claude"
    text = f"models of {publisher} are not supported at Vertex, only those of google and anthropic."
    raise TranslationError(MODEL, text)


def write(request: Request, spoken: Family) -> Written:
    """A chat in the dialect of a model family. Raises TranslationError."""
    if spoken == "claude":
        return messages_requests.write(request, flavour="vertex")
    return requests.write(request, flavour="vertex")


def call(request: Request | EmbeddingRequest, base: str) -> NativeCall:
    """The call that sends one line to its model; `base` is the prefix of the model's name. Raises TranslationError."""
    at = path(request.model)
    at = f"{base}{at}" if at.startswith("publishers/") else f"/v1/{at}"
    if isinstance(request, EmbeddingRequest):
        return _embedding_call(request, at)
    spoken = family(request.model)
    written = write(request, spoken)
    if spoken == "claude":
        return NativeCall(f"{at}:rawPredict", written.body, messages_answers.read, tuple(written.dropped))
    return NativeCall(f"{at}:generateContent", written.body, answers.read, tuple(written.dropped))


def check_embeds(model: str) -> None:
    """Raise TranslationError for a model without embeddings."""
    if family(model) != "gemini":
        raise TranslationError(MODEL, f"{model} makes no embeddings.")


def _embedding_call(request: EmbeddingRequest, at: str) -> NativeCall:
    """As Google's SDK does it: Gemini models take contents, older models take instances."""
    check_embeds(request.model)
    dropped = tuple(embeddings.dropped(request))
    texts = [embeddings.write(text, request) for text in request.inputs]
    if "gemini" not in request.model:
        return NativeCall(f"{at}:predict", _instances(request, texts), read_predictions, dropped)
    contents = [_content(text) for text in texts]
    if len(contents) == 1:
        return NativeCall(f"{at}:embedContent", contents[0], embeddings.read, dropped)
    return NativeCall(f"{at}:batchEmbedContents", {"requests": contents}, embeddings.read_many, dropped)


def _content(text: Json) -> Json:
    config = {name: value for name, value in text.items() if name != "content"}
    return {"content": text["content"], **({"embedContentConfig": config} if config else {})}


def _instances(request: EmbeddingRequest, texts: list[Json]) -> Json:
    instances = [
        {"content": said, **({"task_type": text["taskType"]} if "taskType" in text else {})}
        for said, text in zip(request.inputs, texts, strict=True)
    ]
    made: Json = {"instances": instances}
    if request.dimensions is not None:
        made["parameters"] = {"outputDimensionality": request.dimensions}
    return made


def read_embedding(body: Any) -> EmbeddingAnswer:
    """The vector in a row of a job. Raises UnexpectedAnswerError."""
    return read_predictions(body) if type(body) is dict and "predictions" in body else embeddings.read(body)


def read_predictions(body: Any) -> EmbeddingAnswer:
    """The vectors in an answer of an older model. Raises UnexpectedAnswerError."""
    predictions = body.get("predictions") if type(body) is dict else None
    if type(predictions) is not list or not all(type(item) is dict for item in predictions):
        raise UnexpectedAnswerError("The provider's answer has no predictions.")
    vectors_of_texts = [item.get("embeddings") for item in predictions]
    tokens = sum(_tokens(item) for item in vectors_of_texts)
    vectors = embeddings.read_many({"embeddings": vectors_of_texts}).vectors
    return EmbeddingAnswer(vectors, Usage(tokens, 0, 0, 0, tokens))


def _tokens(embedding: Any) -> int:
    statistics = embedding.get("statistics") if type(embedding) is dict else None
    count = statistics.get("token_count") if type(statistics) is dict else None
    return int(count) if isinstance(count, int | float) and 0 <= count < 2**53 else 0
