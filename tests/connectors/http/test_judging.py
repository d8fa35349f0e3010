import orjson
import pytest

from app.connectors.http.judging import error_body, retry_after_s
from app.connectors.http.wire import Answer

NOON = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "99999999999"}, 86400.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Tue, 99 Nov 99999999 22:13:30 GMT"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after_s(headers, now_s=NOON) == expected


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ("No.", "No."),
        (
            [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "B"}],
            "body.messages.0: Field required; B",
        ),
        ([{"loc": 5, "msg": "Wrong"}], "Wrong"),
        ([{"loc": [None, "a"], "msg": ["x"]}], "a"),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_findings_make_one_message_however_they_are_told(detail, message):
    answer = Answer(422, {}, orjson.dumps({"detail": detail}))

    assert error_body(answer)["error"]["message"] == message


def test_an_error_nested_too_deep_is_told_by_its_status():
    answer = Answer(422, {"content-type": "application/json"}, b'{"detail":' + b"[" * 300 + b"]" * 300 + b"}")

    assert error_body(answer)["error"]["message"].startswith("The provider answered status 422")
