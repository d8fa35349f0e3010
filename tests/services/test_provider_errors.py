"""What a failed call about files, jobs or containers means, and what its caller gets: each row of the table."""

import orjson
import pytest

from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamError, UpstreamServerError
from app.connectors.contract.refusals import TABLE, Kind, Rule
from app.connectors.http import judging
from app.connectors.http.wire import Answer
from app.services import provider_errors

ROWS = pytest.mark.parametrize(
    "row", TABLE, ids=lambda row: f"{row.first}-{row.kind}-{'-'.join(sorted(row.providers))}"
)


def refused(status: int, provider: str = "openai", **error: object) -> UpstreamError:
    """The error of a management call with this answer."""
    answer = Answer(status, {"content-type": "application/json"}, orjson.dumps({"error": error}))
    with pytest.raises(UpstreamError) as caught:
        judging.raise_unless_success(answer, provider=provider)
    return caught.value


def error_of(row: Rule) -> tuple[UpstreamError, str]:
    """The error of a management call that fits a row, and the provider that answers so."""
    provider = next(iter(sorted(row.providers)), "openai")
    code = next(iter(sorted(row.codes)), None)
    return refused(row.first, provider, message=row.example, type="t", code=code), provider


@ROWS
def test_each_row_decides_for_lines(row: Rule) -> None:
    provider = next(iter(sorted(row.providers)), "openai")
    error = {"message": row.example, "type": "t", "code": next(iter(sorted(row.codes)), None)}
    answer = Answer(row.first, {}, orjson.dumps({"error": error}))
    if row.kind is Kind.LINE:
        judging.raise_unless_answered(answer, provider=provider)  # it ends with this answer
        return
    with pytest.raises(UpstreamServerError if row.kind is Kind.AGAIN else OverloadedError) as caught:
        judging.raise_unless_answered(answer, provider=provider)
    assert caught.value.kind is row.kind


@ROWS
def test_each_row_decides_for_management_calls(row: Rule) -> None:
    error, provider = error_of(row)
    assert provider_errors.kind_of(error, provider=provider) is row.kind
    assert provider_errors.is_final(error, provider=provider) is (row.kind is Kind.LINE)
    few = row.kind is Kind.AGAIN and row.first < 500
    assert provider_errors.waits(error, provider=provider) is not (few or row.kind is Kind.LINE)
    assert provider_errors.may_be_done(error) is (
        row.first in (408, 425) or (row.kind is Kind.AGAIN and row.first >= 500)
    )


@ROWS
def test_callers_get_what_each_row_means_and_no_word_about_the_operators_key(row: Rule) -> None:
    error, provider = error_of(row)
    shown = provider_errors.caller_error(error, provider=provider)
    assert shown.from_provider and shown.provider == provider
    if row.kind is Kind.CREDENTIAL:
        assert (shown.status, shown.code) == (502, "provider_auth_error")
        assert row.example not in shown.message and row.example not in provider_errors.reason(error, provider=provider)
    elif row.first == 429 and row.kind is not Kind.LINE:
        assert shown.status == 429
    elif row.kind is Kind.LINE:
        assert shown.status in (400, row.first)
    else:
        assert shown.status == row.first if row.first in (403, 408) else shown.status in (502, 504)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, 400),
        (403, 403),
        (404, 404),
        (405, 405),
        (408, 408),
        (409, 409),
        (410, 404),
        (413, 413),
        (422, 400),
        (425, 502),
    ],
)
def test_callers_get_the_statuses_that_mean_something_to_them(status: int, expected: int) -> None:
    error = refused(status, message="No.", type="invalid_request_error", code="nope")
    shown = provider_errors.caller_error(error, provider="openai")
    assert (shown.status, "No." in shown.message) == (expected, True)


@pytest.mark.parametrize(
    ("status", "body", "done"),
    [
        (408, b'{"error": {"message": "m", "code": "c"}}', True),
        (409, b'{"error": {"message": "m", "code": "c"}}', True),
        (425, b'{"error": {"message": "m", "code": "c"}}', True),
        (400, b'{"error": {"message": "m", "code": ""}}', True),
        (400, b"", True),
        (403, b"<html>Denied</html>", True),
        (422, b"{}", True),
        (400, b'{"error": {"message": "m", "type": "t", "code": null}}', False),
        (400, b'{"detail": "m"}', False),
        (400, b'{"message": "m"}', False),
        (404, b'{"error": {"message": "m", "code": "c"}}', False),
        (421, b'{"error": {"message": "m", "code": "c"}}', False),
        (503, b"", False),
        (529, b"", False),
        (500, b"", True),
        (502, b"<html></html>", True),
        (504, b"", True),
    ],
)
def test_whether_a_refused_call_may_have_been_done(status: int, body: bytes, done: bool) -> None:
    with pytest.raises(UpstreamError) as caught:
        judging.raise_unless_success(Answer(status, {}, body), provider="openai")
    assert provider_errors.may_be_done(caught.value) is done


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusedError("m", status=401), Kind.CREDENTIAL),
        (RefusedError("m", status=409), Kind.AGAIN),
        (RefusedError("m", status=400), Kind.LINE),
        (RefusedError("m"), Kind.LINE),
        (OverloadedError("m"), Kind.BUSY),
        (UpstreamServerError("m"), Kind.AGAIN),
    ],
)
def test_errors_of_other_connectors_are_classed_by_their_status(error: UpstreamError, kind: Kind) -> None:
    assert provider_errors.kind_of(error, provider="mycorp") is kind
