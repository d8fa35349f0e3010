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


def outcome(given: Answer, provider: str = "openai") -> str:
    """What becomes of a line with this answer."""
    try:
        judging.raise_unless_answered(given, provider=provider)
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


QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("provider", "status", "error", "expected"),
    [
        ("gemini", 429, {"message": f"{QUOTA} Please retry in 12s."}, "waits: busy"),
        ("vertex", 429, {"message": "Resource exhausted. Please try again later."}, "waits: busy"),
        ("gemini", 429, {"message": f"{QUOTA} * Quota exceeded for metric: free_tier, limit: 0"}, "waits: account"),
        ("gemini", 429, {"message": f"{QUOTA} limit: 05"}, "waits: busy"),
        ("gemini", 400, {"message": "API key not valid. Please pass a valid API key."}, "waits: credential"),
        ("openai", 400, {"message": "API key not valid. Please pass a valid API key."}, "ends"),
        ("vertex", 403, {"message": "Permission 'aiplatform.endpoints.predict' denied."}, "waits: credential"),
        ("anthropic", 400, {"message": "Your credit balance is too low to access the API."}, "waits: account"),
        ("openai", 400, {"message": "Your credit balance is too low to access the API."}, "ends"),
        ("anthropic", 401, {"message": "invalid x-api-key", "type": "authentication_error"}, "waits: credential"),
        ("anthropic", 403, {"message": "Not allowed.", "type": "permission_error"}, "waits: credential"),
        ("xai", 403, {"message": "Your team doesn't have any credits or licenses yet."}, "waits: account"),
        ("fireworks", 403, {"message": "The API key is invalid.", "code": "UNAUTHORIZED"}, "waits: credential"),
        ("fireworks", 412, {"message": "Account acme is suspended."}, "waits: account"),
        ("openai", 412, {"message": "Account acme is suspended."}, "ends"),
        ("cohere", 429, {"message": "Trial key: limited to 1000 API calls / month."}, "waits: account"),
        ("cohere", 429, {"message": "Trial key: limited to 20 API calls / minute."}, "waits: busy"),
        ("groq", 498, {"message": "Flex tier capacity exceeded."}, "waits: busy"),
        ("cohere", 498, {"message": "Blocked input."}, "ends"),
        (
            "bedrock",
            403,
            {"message": "You don't have access to the model.", "code": "AccessDeniedException"},
            "waits: model",
        ),
        ("bedrock", 403, {"message": "Not authorized.", "code": "AccessDeniedException"}, "waits: credential"),
        ("bedrock", 408, {"message": "Model timed out.", "code": "ModelTimeoutException"}, "tried again: again"),
        ("bedrock", 424, {"message": "Model failed.", "code": "ModelErrorException"}, "tried again: again"),
        ("openrouter", 403, {"message": "openai/x requires moderation: flagged for violence"}, "ends"),
        ("openrouter", 402, {"message": "Insufficient credits."}, "waits: account"),
        ("together", 403, {"message": "Input token count + max_tokens must be below 8193."}, "ends"),
        ("openai", 401, {"message": "Incorrect API key provided", "code": "invalid_api_key"}, "waits: credential"),
        ("openai", 403, {"message": "No access to model m", "code": "model_not_found"}, "waits: model"),
        ("mycorp", 403, {"message": "You do not have access to the model."}, "waits: model"),
        ("openai", 403, {"message": "Country, region, or territory not supported"}, "ends"),
        ("openai", 409, {"message": "Conflict"}, "tried again: again"),
        ("openai", 410, {"message": "Gone"}, "ends"),
        ("openai", 421, {"message": "Misdirected"}, "tried again: again"),
        ("openai", 422, {"message": "Wrong"}, "ends"),
        ("openai", 425, {"message": "Too early"}, "tried again: again"),
    ],
)
def test_what_a_line_comes_to_at_each_provider(
    provider: str, status: int, error: dict[str, Any], expected: str
) -> None:
    assert outcome(answer(status, **error), provider) == expected


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


@pytest.mark.parametrize(
    ("headers", "message", "expected"),
    [
        ({"retry-after": "7", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}, "", 7.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, "", 360.0),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}, "", None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, "", 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, "", None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9999h"}, "", 86_400.0),
        ({}, "Limit 500, Used 500, Requested 1. Please try again in 120ms.", 0.12),
        ({}, "Please try again in 7m12.5s. Visit our site.", 432.5),
        ({}, "Quota exceeded. Please retry in 12.345s.", 12.345),
        ({}, "Please try again in a moment.", None),
        ({}, "Please try again in 1.2.3s", None),
    ],
)
def test_how_long_to_wait_is_taken_from_headers_and_words(
    headers: dict[str, str], message: str, expected: float | None
) -> None:
    given = answer(429, message=message)
    assert judging.wait_s(Answer(429, headers, given.body)) == expected


def test_each_row_decides_about_its_own_example() -> None:
    for row in TABLE:
        error = {"message": row.example, "code": next(iter(sorted(row.codes)), None), "type": None}
        provider = next(iter(row.providers), "openai")
        assert next(rule for rule in TABLE if rule.fits(provider, row.first, error)) is row, row


def test_what_a_provider_writes_cannot_make_the_table_slow() -> None:
    assert classify("openai", 429, {"message": "limit " * 20_000}) is Kind.BUSY
    assert classify("openai", 429, {"message": "limit 1" + " " * 100_000 + "requested 2", "code": "x"}) is Kind.BUSY
