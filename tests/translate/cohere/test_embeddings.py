"""Cohere's embedding requests and answers, validated with the SDK's types."""

import pytest
from cohere.types import EmbedByTypeResponse

from app.translate import embeddings
from app.translate.cohere import embeddings as cohere_embeddings
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Usage


def read(**body):
    return embeddings.read({"model": "m", "input": ["one", "two"], **body})


BODY = {"texts": ["one", "two"], "input_type": "search_document", "embedding_types": ["float"]}


def test_a_batch_row_and_a_single_call():
    [row] = cohere_embeddings.write(read(user="u", encoding_format="base64", x=1))
    line = cohere_embeddings.write_line(read(dimensions=256, user="u", input_type="clustering"))

    assert (row.body, row.dropped) == (BODY, ["x", "user"])
    with pytest.raises(TranslationError, match="dimensions"):
        cohere_embeddings.write(read(dimensions=256))
    assert line.body == {"model": "m", **BODY, "input_type": "clustering", "output_dimension": 256}
    assert line.dropped == ["user"]
    assert cohere_embeddings.write_line(read()).body == {"model": "m", **BODY}


def test_one_text_is_a_list_of_one():
    assert cohere_embeddings.write(read(input="one"))[0].body["texts"] == ["one"]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (96, [96]), (97, [96, 1]), (200, [96, 96, 8])])
def test_many_texts_are_several_rows(count, sizes):
    rows = cohere_embeddings.write(read(input=[f"text {n}" for n in range(count)]))

    assert [len(row.body["texts"]) for row in rows] == sizes
    assert [text for row in rows for text in row.body["texts"]] == [f"text {n}" for n in range(count)]


@pytest.mark.parametrize("kind", ["image", "search", ""])
def test_an_unknown_input_type_is_rejected(kind):
    if not kind:
        assert cohere_embeddings.write(read(input_type=kind))[0].body["input_type"] == "search_document"
        return
    with pytest.raises(TranslationError) as refused:
        cohere_embeddings.write(read(input_type=kind))
    assert refused.value.param == "input_type"


ANSWER = {
    "id": "x",
    "response_type": "embeddings_by_type",
    "embeddings": {"float": [[0.5, 1.0], [0.25, 2.0]]},
    "texts": ["one", "two"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7.0}},
}


def test_vectors_come_in_order_with_their_tokens():
    EmbedByTypeResponse.model_validate(ANSWER, strict=True)

    result = cohere_embeddings.read(ANSWER)

    assert result.vectors == [[0.5, 1.0], [0.25, 2.0]]
    assert result.usage == Usage(input_tokens=7, total_tokens=7)
    tokens = {**ANSWER, "meta": {"tokens": {"input_tokens": 5}}}
    assert cohere_embeddings.read(tokens).usage.input_tokens == 5
    assert cohere_embeddings.read({**ANSWER, "meta": None}).usage == Usage()
    assert cohere_embeddings.read({"embeddings": {"float_": [[1]]}}).vectors == [[1]]
    assert cohere_embeddings.read({"embeddings": [[0.5]]}).vectors == [[0.5]]


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        [],
        {},
        {"embeddings": None},
        {"embeddings": {}},
        {"embeddings": {"int8": [[1]]}},
        {"embeddings": {"float": []}},
        {"embeddings": {"float": [[]]}},
        {"embeddings": {"float": [7]}},
        {"embeddings": {"float": [["x"]]}},
        {"embeddings": {"float": [[True]]}},
        {"embeddings": {"float": [[0.5, [1]]]}},
        {"embeddings": "x"},
    ],
)
def test_an_invalid_answer_raises_an_error(nonsense):
    with pytest.raises(UnexpectedAnswerError):
        cohere_embeddings.read(nonsense)
