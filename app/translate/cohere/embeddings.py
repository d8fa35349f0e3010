"""Embeddings in Cohere's dialect (contracts: providers, 6 and 28.5)."""

from collections.abc import Iterator
from typing import Any

from app.translate.cohere.answers import count
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json, Usage, Written

MOST_TEXTS = 96  # in one call or row
DEFAULT_TYPE = "search_document"
TYPES = frozenset({"search_document", "search_query", "classification", "clustering"})
NUMBERS = {int, float}


def write(request: EmbeddingRequest) -> list[Written]:
    """The bodies of the rows of a batch, each of as many texts as go into one. Raises TranslationError.

    Rows take no dimensions, as Cohere's datasets have no such field, and vectors of another length would be others.
    """
    if request.dimensions is not None:
        raise TranslationError("dimensions", f"batches of {request.model} give vectors of one size.")
    dropped = _dropped(request)
    return [Written(_body(request, texts), dropped) for texts in pieces(request.inputs)]


def write_line(request: EmbeddingRequest) -> Written:
    """The body of a single /v2/embed, of MOST_TEXTS texts at most. Raises TranslationError."""
    body = {"model": request.model, **_body(request, request.inputs)}
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return Written(body, _dropped(request))


def pieces(inputs: list[str]) -> Iterator[list[str]]:
    """The texts, as many at a time as go into one call or row."""
    return (inputs[start : start + MOST_TEXTS] for start in range(0, len(inputs), MOST_TEXTS))


def read(body: Any) -> EmbeddingAnswer:
    """The vectors of an answer, in order. Raises UnexpectedAnswerError."""
    told = body.get("embeddings") if isinstance(body, dict) else None
    vectors = told
    if isinstance(told, dict):
        vectors = told.get("float")
        if vectors is None:
            vectors = told.get("float_")
    if not isinstance(vectors, list) or not vectors:
        raise UnexpectedAnswerError("Cohere's answer has no vectors.")
    for vector in vectors:
        if not isinstance(vector, list) or not vector or not set(map(type, vector)) <= NUMBERS:
            raise UnexpectedAnswerError("Cohere's answer has a vector that is no list of numbers.")
    meta = body.get("meta")
    holder = meta if isinstance(meta, dict) else {}
    tokens = count(holder.get("billed_units"), "input_tokens") or count(holder.get("tokens"), "input_tokens")
    return EmbeddingAnswer(vectors, Usage(input_tokens=tokens, total_tokens=tokens))


def _body(request: EmbeddingRequest, texts: list[str]) -> Json:
    kind = request.input_type or DEFAULT_TYPE
    if kind not in TYPES:
        raise TranslationError("input_type", f"must be one of {', '.join(sorted(TYPES))}.")
    return {"texts": texts, "input_type": kind, "embedding_types": ["float"]}


def _dropped(request: EmbeddingRequest) -> list[str]:
    return [*request.dropped, "user"] if request.user is not None else list(request.dropped)
