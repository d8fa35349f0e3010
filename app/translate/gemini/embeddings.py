"""Embeddings of Gemini, at its Developer API and at Vertex: one text for each request (contracts: providers, 28.3)."""

from array import array
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.gemini.answers import read_usage
from app.translate.gemini.parts import Flavour
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json, Usage

MOST_DIGITS = 18
TASKS = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
# Members of a request; Vertex has them in its records as its Python library does (contracts: providers, 7).
DIMENSIONS: dict[Flavour, str] = {"gemini": "outputDimensionality", "vertex": "output_dimensionality"}
TASK: dict[Flavour, str] = {"gemini": "taskType", "vertex": "task_type"}


def write(text: str, request: EmbeddingRequest, *, flavour: Flavour = "gemini") -> Json:
    """The request for one of the texts, without its model. Raises TranslationError naming what it cannot say."""
    if not text:
        raise TranslationError("input", "Gemini makes no vector of a text that is empty.")
    made: Json = {"content": {"parts": [{"text": text}]}}
    if request.dimensions is not None:
        made[DIMENSIONS[flavour]] = request.dimensions
    if request.input_type in TASKS:
        made[TASK[flavour]] = TASKS[request.input_type]
    return made


def dropped(request: EmbeddingRequest) -> list[str]:
    """The fields that `write` has to leave out."""
    left = [*request.dropped]
    if request.input_type is not None and request.input_type not in TASKS:
        left.append("input_type")
    if request.user is not None:
        left.append("user")
    return left


def read(body: Any) -> EmbeddingAnswer:
    """The one vector of an answer, and its tokens. Raises UnexpectedAnswerError."""
    if type(body) is not dict:
        raise UnexpectedAnswerError("The provider's answer is no object.")
    return EmbeddingAnswer([_vector(body.get("embedding"))], _usage(body))


def read_many(body: Any) -> EmbeddingAnswer:
    """The vectors of an answer to several requests at once. Raises UnexpectedAnswerError."""
    told = body.get("embeddings") if type(body) is dict else None
    if type(told) is not list or not told:
        raise UnexpectedAnswerError("The provider's answer has no vectors.")
    return EmbeddingAnswer([_vector(embedding) for embedding in told], _usage(body))


def _usage(body: Json) -> Usage:
    """Of answers within a job only the count may be told, as a text."""
    count = body.get("tokenCount")
    if type(count) is str and count.isascii() and count.isdigit():
        count = int(count[:MOST_DIGITS])
    return Usage(count, 0, 0, 0, count) if type(count) is int and count >= 0 else read_usage(body.get("usageMetadata"))


def _vector(embedding: Any) -> list[float]:
    """The numbers in `{"values": [...]}`."""
    values = embedding.get("values") if type(embedding) is dict else None
    if type(values) is not list or not values:
        raise UnexpectedAnswerError("The provider's answer has no vector.")
    try:
        array("d", values)
    except (TypeError, OverflowError) as error:
        raise UnexpectedAnswerError("The provider's answer has a vector that is not made of numbers.") from error
    return values
