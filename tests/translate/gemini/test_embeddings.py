"""Gemini's embedding requests and answers, validated with its SDK (contracts: providers, 7 and 28.3)."""

import pytest
from google.genai import types

from app.translate import embeddings
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.gemini import embeddings as gemini_embeddings
from app.translate.neutral import EmbeddingAnswer, Usage


def read(**body):
    return embeddings.read({"model": "gemini-embedding-001", "input": "one", **body})


def test_a_text_becomes_a_request():
    written = gemini_embeddings.write("one", read(dimensions=256, input_type="search_query"))

    content = {"parts": [{"text": "one"}]}
    assert written == {"content": content, "outputDimensionality": 256, "taskType": "RETRIEVAL_QUERY"}
    types.Content.model_validate(written.pop("content"))
    types.EmbedContentConfig.model_validate(written)
    assert gemini_embeddings.write("one", read()) == {"content": content}


def test_vertex_has_other_member_names():
    written = gemini_embeddings.write("one", read(dimensions=256, input_type="clustering"), flavour="vertex")

    assert written == {
        "content": {"parts": [{"text": "one"}]},
        "output_dimensionality": 256,
        "task_type": "CLUSTERING",
    }


def test_dropped_fields_are_listed():
    request = read(user="me", input_type="image", extra=1, encoding_format="base64")

    assert sorted(gemini_embeddings.dropped(request)) == ["extra", "input_type", "user"]
    assert gemini_embeddings.dropped(read(input_type="classification")) == []


def test_empty_text_is_rejected():
    with pytest.raises(TranslationError):
        gemini_embeddings.write("", read())


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({}, Usage()),
        ({"usageMetadata": {"promptTokenCount": 3}}, Usage(3, 0, 0, 0, 3)),
        ({"tokenCount": "4"}, Usage(4, 0, 0, 0, 4)),
        ({"tokenCount": 4}, Usage(4, 0, 0, 0, 4)),
        ({"tokenCount": "many"}, Usage()),
        ({"tokenCount": "9" * 5000}, Usage()),
    ],
)
def test_a_vector_and_its_tokens(body, usage):
    result = gemini_embeddings.read({"embedding": {"values": [0.5, -1]}, **body})

    assert result == EmbeddingAnswer([[0.5, -1]], usage)


def test_many_vectors():
    body = {"embeddings": [{"values": [1.0]}, {"values": [2.0]}]}

    assert gemini_embeddings.read_many(body).vectors == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "body", [None, [], {}, {"embedding": []}, {"embedding": {"values": []}}, {"embedding": {"values": ["x"]}}]
)
def test_an_invalid_answer_raises_an_error(body):
    with pytest.raises(UnexpectedAnswerError):
        gemini_embeddings.read(body)
    with pytest.raises(UnexpectedAnswerError):
        gemini_embeddings.read_many({"embeddings": body if isinstance(body, list) else [body]})
