"""The vendors' types against the gateway's checks: no id and no model in them passes that nobody has looked at."""

from typing import Literal, Required, TypedDict

from app.services.lines import owned_ids
from tools.vendor_types import passing, reviewed
from tools.vendor_types.walk import leaves


def test_no_id_and_no_model_of_the_vendors_types_passes() -> None:
    assert list(passing.report()) == []


def test_what_is_listed_as_free_has_a_reason() -> None:
    assert owned_ids.FREE - reviewed.IDS.keys() == {"custom_id", "reference_id", "request_id", "span_id"}


class Tool(TypedDict, total=False):
    type: Required[Literal["new"]]
    corpus_id: str
    parameters: "Settings"
    judge_model: str


class Settings(TypedDict):
    corpus: "str | Corpus"


class Corpus(TypedDict):
    id: str


class Item(TypedDict):
    id: str
    type: Literal["thing"]


class Call(TypedDict):
    id: str
    text: str


class Request(TypedDict, total=False):
    tools: list[Tool]
    input: str | list[Item | Call]
    calls: list[Call]
    preset: str | None


def test_a_walk_finds_every_member_that_holds_text() -> None:
    found = {leaf.key: leaf for leaf in leaves(Request)}
    assert set(found) == {
        "Request.input",
        "Request.preset",
        "Tool.corpus_id",
        "Tool.judge_model",
        "Settings.corpus",
        "Corpus.id",
        "Item.id",
        "Call.id",
        "Call.text",
    }
    assert [body for body, _ in found["Settings.corpus"].bodies()] == [
        {"tools": [{"type": "new", "parameters": {"corpus": "obj_1"}}]}
    ]
    assert found["Settings.corpus"].may_be_object
    assert [body for body, _ in found["Item.id"].bodies()] == [{"input": [{"type": "thing", "id": "obj_1"}]}]
    assert (found["Item.id"].is_pure_reference, found["Call.id"].is_pure_reference) == (True, False)


def test_a_member_that_passes_is_reported() -> None:
    assert {key for leaf in leaves(Request) for key in passing.ids(leaf)} == {"Request.input", "Settings.corpus"}
    assert {key for leaf in leaves(Request) for key in passing.model_names(leaf)} == set()
