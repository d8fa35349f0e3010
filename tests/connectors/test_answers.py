import pytest

from app.connectors.answers import retry_after_s

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
