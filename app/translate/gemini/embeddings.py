"""Gemini's embeddings, at the Developer API and at Vertex: one text per request (contracts: providers, 28.3)."""

from array import array
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.gemini.answers import read_usage
from app.translate.gemini.parts import Flavour
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json, Usage

MAX_COUNT_DIGITS = 18
TASKS = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
# Member names of a request. Vertex's batch records spell them as its Python library does (contracts: providers, 7).
DIMENSIONS: dict[Flavour, str] = {"gemini": "outputDimensionality", "vertex": "output_dimensionality"}
TASK: dict[Flavour, str] = {"gemini": "taskType", "vertex": "task_type"}


def write(text: str, request: EmbeddingRequest, *, flavour: Flavour = "gemini") -> Json:
    """Write the request for one text, without its model. Raises TranslationError that names what Gemini rejects."""
    if not text:
        raise TranslationError("input", "Gemini does not embed empty text.")
    body: Json = {"content": {"parts": [{"text": text}]}}
    if request.dimensions is not None:
        body[DIMENSIONS[flavour]] = request.dimensions
    if request.input_type in TASKS:
        body[TASK[flavour]] = TASKS[request.input_type]
    return body


def dropped(request: EmbeddingRequest) -> list[str]:
    """Return the fields that `write` leaves out."""
    names = [*request.dropped]
    if request.input_type is not None and request.input_type not in TASKS:
        names.append("input_type")
    if request.user is not None:
        names.append("user")
    return names


def read(body: Any) -> EmbeddingAnswer:
    """Read an answer with one vector. Raises UnexpectedAnswerError."""
    if type(body) is not dict:
        raise UnexpectedAnswerError("The provider's answer is not an object.")
    return EmbeddingAnswer([_vector(body.get("embedding"))], _usage(body))


def read_many(body: Any) -> EmbeddingAnswer:
    """Read the answer to several requests in one call. Raises UnexpectedAnswerError."""
    items = body.get("embeddings") if type(body) is dict else None
    if type(items) is not list or not items:
        raise UnexpectedAnswerError("The provider's answer has no vectors.")
    return EmbeddingAnswer([_vector(embedding) for embedding in items], _usage(body))


def _usage(body: Json) -> Usage:
    """Read token counts. Answers of batch jobs may hold only a count, as a string."""
    count = body.get("tokenCount")
    if type(count) is str and count.isascii() and count.isdigit():
        count = int(count[:MAX_COUNT_DIGITS])
    return Usage(count, 0, 0, 0, count) if type(count) is int and count >= 0 else read_usage(body.get("usageMetadata"))


def _vector(embedding: Any) -> list[float]:
    """Read the numbers of `{"values": [...]}`."""
    values = embedding.get("values") if type(embedding) is dict else None
    if type(values) is not list or not values:
        raise UnexpectedAnswerError("The provider's answer has no vector.")
    try:
        array("d", values)
    except (TypeError, OverflowError) as error:
        raise UnexpectedAnswerError("The provider's answer has a vector with a value that is not a number.") from error
    return values
