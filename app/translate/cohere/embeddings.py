"""Cohere's embeddings (contracts: providers, 6 and 28.5)."""

from collections.abc import Iterator
from typing import Any

from app.translate.cohere.answers import count
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json, Usage, Written

MAX_TEXTS = 96  # in a call or row
DEFAULT_TYPE = "search_document"
TYPES = frozenset({"search_document", "search_query", "classification", "clustering"})
NUMBERS = {int, float}


def write(request: EmbeddingRequest) -> list[Written]:
    """Write the rows of a batch, with up to MAX_TEXTS texts each. Raises TranslationError.

    `dimensions` is rejected: Cohere's datasets have no such field, and vectors of another length are no substitute.
    """
    if request.dimensions is not None:
        raise TranslationError("dimensions", f"batches of {request.model} support only one vector size.")
    dropped = _dropped(request)
    return [Written(_body(request, texts), dropped) for texts in pieces(request.inputs)]


def write_line(request: EmbeddingRequest) -> Written:
    """Write the body of one /v2/embed call, with at most MAX_TEXTS texts. Raises TranslationError."""
    body = {"model": request.model, **_body(request, request.inputs)}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return Written(body, _dropped(request))


def pieces(inputs: list[str]) -> Iterator[list[str]]:
    """Split the texts into groups that fit a call or row."""
    return (inputs[start : start + MAX_TEXTS] for start in range(0, len(inputs), MAX_TEXTS))


def read(body: Any) -> EmbeddingAnswer:
    """Read the vectors of an answer, in order. Raises UnexpectedAnswerError."""
    vectors = body.get("embeddings") if isinstance(body, dict) else None
    if isinstance(vectors, dict):
        by_type = vectors
        vectors = by_type.get("float")
        if vectors is None:
            vectors = by_type.get("float_")
    if not isinstance(vectors, list) or not vectors:
        raise UnexpectedAnswerError("Cohere's answer has no vectors.")
    for vector in vectors:
        if not isinstance(vector, list) or not vector or not set(map(type, vector)) <= NUMBERS:
            raise UnexpectedAnswerError("Cohere's answer has a vector that is not a list of numbers.")
    meta = body.get("meta")
    holder = meta if isinstance(meta, dict) else {}
    tokens = count(holder.get("billed_units"), "input_tokens") or count(holder.get("tokens"), "input_tokens")
    return EmbeddingAnswer(vectors, Usage(input_tokens=tokens, total_tokens=tokens))


def _body(request: EmbeddingRequest, texts: list[str]) -> Json:
    input_type = request.input_type or DEFAULT_TYPE
    if input_type not in TYPES:
        raise TranslationError("input_type", f"must be one of {', '.join(sorted(TYPES))}.")
    return {"texts": texts, "input_type": input_type, "embedding_types": ["float"]}


def _dropped(request: EmbeddingRequest) -> list[str]:
    return [*request.dropped, "user"] if request.user is not None else list(request.dropped)
