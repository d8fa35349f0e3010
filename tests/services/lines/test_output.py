"""Lines of output and error files: one line each, the same bytes whenever they are written, an id that is a cursor."""

import json

import pytest

from app.services.lines import output

BATCH = "batch_0123456789abcdef"


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b'{\n  "a": 1\n}\n', b'{\r\n"a":\r1}'], ids=["flat", "indented", "returns"]
)
def test_an_answer_is_one_line_however_the_provider_broke_it(body: bytes) -> None:
    line = output.answered_line(BATCH, 3, "mine", status_code=200, request_id="req_1", body=body)
    assert line.splitlines() == [line.rstrip(b"\n")] and line.endswith(b"\n")
    assert json.loads(line) == {
        "id": output.line_id(BATCH, 3),
        "custom_id": "mine",
        "response": {"status_code": 200, "request_id": "req_1", "body": {"a": 1}},
        "error": None,
    }


@pytest.mark.parametrize("code", [output.EXPIRED, output.CANCELLED])
def test_a_line_that_never_ran_says_why(code: str) -> None:
    line = json.loads(output.unexecuted_line(BATCH, 1, "mine", code))
    assert (line["response"], line["error"]["code"]) == (None, code)
    assert line["error"]["message"]


def test_the_number_of_a_line_can_be_read_from_its_id_by_its_own_batch_only() -> None:
    found = output.line_id(BATCH, 255)
    assert output.line_number(BATCH, found) == 255
    assert output.line_number("batch_of_another", found) is None
    for wrong in ("", "batch_req_", found[:-1] + "g", found[:-12] + "+000000000ff", found.upper()):
        assert output.line_number(BATCH, wrong) is None
