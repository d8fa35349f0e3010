"""Secrets of one connector: out of texts, bytes, answers and errors, whenever they came."""

import json
from dataclasses import replace

import pytest

from app.connectors.contract.errors import RefusedError, UpstreamServerError
from app.connectors.http.redaction import MAX_MESSAGE, MAX_QUOTED_BYTES, Redaction
from app.connectors.http.remote import Remote
from app.connectors.http.wire import Answer


def test_the_longest_secret_goes_first():
    redaction = Redaction("sk-12345678", "sk-12345678-and-more")
    assert redaction.text("sk-12345678-and-more sk-12345678") == "[redacted] [redacted]"


def test_no_secret_is_no_reason_to_change_anything():
    assert Redaction("", []).text("text") == "text"
    assert Redaction().data(b"data") == b"data"


def test_lists_of_secrets_are_read_anew():
    tokens: list[str] = []
    redaction = Redaction(tokens)
    tokens.append("first-token")
    assert redaction.text("first-token second-token") == "[redacted] second-token"
    tokens[:] = ["second-token"]
    assert redaction.text("first-token second-token") == "first-token [redacted]"


def test_an_answer_keeps_all_but_the_secret():
    answer = Redaction("sk-12345").answer(Answer(400, {"a": "b sk-12345"}, b"a sk-12345"))
    assert (answer.status, answer.headers, answer.body) == (400, {"a": "b [redacted]"}, b"a [redacted]")


def test_an_error_is_redacted_before_it_is_cut():
    message = "x" * (MAX_MESSAGE - 3) + "secret-key"
    body = b"x" * (MAX_QUOTED_BYTES - 3) + b"secret-key"
    error = RefusedError(message, code="secret-key", param="secret-key", request_id="secret-key", body=body)

    with pytest.raises(RefusedError) as raised, Redaction("secret-key").in_errors():
        raise error from ValueError("secret-key")

    assert raised.value is error and error.__cause__ is None
    assert "sec" not in f"{error.message} {error.args} {error.code} {error.param} {error.request_id} {error.body!r}"
    assert (len(error.message), len(error.body)) == (MAX_MESSAGE, MAX_QUOTED_BYTES)


def test_an_error_without_a_field_is_told_without_it():
    error = Redaction("sk-12345").error(UpstreamServerError("the sk-12345", status=500))
    assert (error.message, error.param, error.status) == ("the [redacted]", None, 500)


@pytest.mark.parametrize(
    "spelled",
    [
        rb'{"a": "k/e\u002Fy"}',
        rb'{"a": "\u006B\/\u0065\/\u0079"}',
        rb'{"a": "{\"b\": \"k\\\/e\\u002fy\"}"}',
    ],
)
def test_every_spelling_that_json_has_is_a_secret(spelled: bytes):
    hidden = Redaction("k/e/y").data(spelled)
    assert hidden.count(b"[redacted]") == 1
    assert Redaction("k/e/y").data(hidden) == hidden


def test_a_secret_with_signs_and_other_scripts_is_found_in_json():
    secret = 'a"\\ü😀.'
    for ascii_only in (True, False):
        row = json.dumps({"a": secret, "b": "aü."}, ensure_ascii=ascii_only).encode()
        assert json.loads(Redaction(secret).data(row)) == {"a": "[redacted]", "b": "aü."}


def test_where_a_call_went_is_for_operators_only():
    error = Redaction("sk-12345").error(UpstreamServerError("It failed.", where="http://10.0.0.7 sk-12345"))
    assert (error.message, error.for_operator) == ("It failed.", "It failed. (http://10.0.0.7 [redacted])")


def test_the_base_url_of_an_api_is_taken_out_too():
    remote = Remote("http://10.0.0.7:8000/team/v1", Redaction("sk-12345"))
    redaction = remote.redaction
    assert redaction.text("No http://10.0.0.7:8000/team/v1/files at 10.0.0.7.") == "No [redacted]/files at [redacted]."
    assert redaction.data(rb'{"m":"a\n10.0.0.7 and http:\/\/10.0.0.7:8000\/team\/v1\/x"}') == (
        rb'{"m":"a\n[redacted] and [redacted]\/x"}'
    )
    assert replace(remote, base_url="http://10.0.0.8").redaction.text("10.0.0.7 10.0.0.8") == "[redacted] [redacted]"
