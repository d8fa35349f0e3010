"""Embeddings of Gemini, at its Developer API and at Vertex: one text for each request (contracts: providers, 28.3)."""

from array import array
from typing import Any

from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.gemini_answers import read_usage
from app.translate.gemini_parts import Flavour
from app.translate.neutral import EmbeddingAnswer, EmbeddingRequest, Json

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
    embedding = body.get("embedding") if type(body) is dict else None
    return EmbeddingAnswer([vector(embedding)], read_usage(body.get("usageMetadata") if type(body) is dict else None))


def vector(embedding: Any) -> list[float]:
    """The numbers in `{"values": [...]}`. Raises UnexpectedAnswerError."""
    values = embedding.get("values") if type(embedding) is dict else None
    if type(values) is not list or not values:
        raise UnexpectedAnswerError("The provider's answer has no vector.")
    try:
        array("d", values)
    except (TypeError, OverflowError) as error:
        raise UnexpectedAnswerError("The provider's answer has a vector that is not made of numbers.") from error
    return values
