"""The table of refusals: what each answer means, for lines and for management calls."""

from typing import Any

import orjson
import pytest

from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamServerError
from app.connectors.contract.refusals import TABLE, Kind, classify
from app.connectors.http import judging
from app.connectors.http.wire import Answer

TOO_LARGE = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 36278."


def answer(status: int, **error: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, orjson.dumps({"error": error}))


def outcome(given: Answer) -> str:
    """What becomes of a line with this answer."""
    try:
        judging.raise_unless_final(given, provider="openai")
    except OverloadedError as error:
        return f"waits: {error.kind}"
    except UpstreamServerError as error:
        return f"tried again: {error.kind}"
    return "ends"


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, {"message": TOO_LARGE, "type": "tokens", "code": "rate_limit_exceeded"}, "ends"),
        (429, {"message": "Limit: 30,000; Requested: 36,278", "code": "rate_limit_exceeded"}, "ends"),
        (429, {"message": "Limit 30000, Used 29000, Requested 2000.", "code": "rate_limit_exceeded"}, "waits: busy"),
        (429, {"message": "Limit 30000, Requested 30000.", "code": "rate_limit_exceeded"}, "waits: busy"),
        (429, {"message": "Limit \u0663, Requested \u0664", "code": None}, "waits: busy"),
        (429, {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}, "waits: busy"),
        (429, {"message": "You exceeded", "code": "insufficient_quota"}, "waits: account"),
        (429, {"message": "?", "type": "insufficient_quota", "code": None}, "waits: account"),
        (429, {"message": "You exceeded your current quota, please check your plan."}, "waits: account"),
        (429, {"message": "Your account is not active, please check your billing details."}, "waits: account"),
        (400, {"message": "Billing hard limit reached", "code": "billing_hard_limit_reached"}, "waits: account"),
        (402, {"message": "Insufficient credits."}, "waits: account"),
        (400, {"message": "Limit 1, Requested 2", "code": "invalid_value"}, "ends"),
        (404, {"message": "No such model", "code": "model_not_found"}, "ends"),
        (503, {"message": "Overloaded"}, "waits: busy"),
        (529, {"message": "Overloaded"}, "waits: busy"),
        (500, {"message": "Oops"}, "tried again: again"),
        (504, {"message": "Too late"}, "tried again: again"),
    ],
)
def test_what_a_line_comes_to(status: int, error: dict[str, Any], expected: str) -> None:
    assert outcome(answer(status, **error)) == expected


def test_management_calls_keep_what_a_retry_would_not_change() -> None:
    def raised(given: Answer) -> tuple[type, Kind | None]:
        with pytest.raises((RefusedError, OverloadedError, UpstreamServerError)) as caught:
            judging.raise_unless_success(given, provider="openai")
        return type(caught.value), caught.value.kind

    assert raised(answer(429, message=TOO_LARGE)) == (RefusedError, Kind.LINE)
    assert raised(answer(429, message="Slow down.")) == (OverloadedError, Kind.BUSY)
    assert raised(answer(402, message="No credit.")) == (RefusedError, Kind.ACCOUNT)
    assert raised(answer(400, message="Wrong.")) == (RefusedError, Kind.LINE)
    assert raised(answer(503, message="Away.")) == (OverloadedError, Kind.BUSY)


def test_each_row_decides_about_its_own_example() -> None:
    for row in TABLE:
        error = {"message": row.example, "code": next(iter(sorted(row.codes)), None), "type": None}
        provider = next(iter(row.providers), "openai")
        assert next(rule for rule in TABLE if rule.fits(provider, row.first, error)) is row, row


def test_what_a_provider_writes_cannot_make_the_table_slow() -> None:
    assert classify("openai", 429, {"message": "limit " * 20_000}) is Kind.BUSY
    assert classify("openai", 429, {"message": "limit 1" + " " * 100_000 + "requested 2", "code": "x"}) is Kind.BUSY
