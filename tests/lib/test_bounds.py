"""The one table of limits: whatever enters comes out as something that each database stores."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.contract.errors import UpstreamError, UpstreamServerError
from app.connectors.contract.objects import JobError, JobResult, NativeFile, NativeJob, Usage
from app.engine.outcomes import Line, Result
from app.lib import bounds

NONSENSE = (True, -1, 2**63, 2**70, 1.5, float("nan"), "7", None, [], {})
LINE = Line(1, "a", 0, 1)


@given(st.text(st.characters(codec=None)), st.sampled_from(sorted(bounds.MAX_CHARS)))
def test_any_text_can_be_stored(value: str, kind: str) -> None:
    for found in (bounds.text(value, kind), bounds.word(value, kind)):
        assert len(found) <= bounds.MAX_CHARS[kind]
        assert "\0" not in found
        found.encode()  # no lone surrogates
    assert bounds.word(value, kind).isprintable()
    bounds.clean(value).encode()


def test_good_text_stays_as_it_is() -> None:
    assert bounds.text("Zeile 1\nZeile 2: größer 🙂", "message") == "Zeile 1\nZeile 2: größer 🙂"
    assert bounds.word("rate_limit_exceeded", "code") == "rate_limit_exceeded"


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_only_whole_numbers_in_range_are_counts(value: Any) -> None:
    assert bounds.count(value, 10**9) is None
    assert not bounds.is_status(value)


def test_a_count_may_be_written_with_a_point() -> None:
    assert bounds.count(7.0, 10) == 7


@pytest.mark.parametrize("value", [True, -1, 2**62, 10**11, 1.5, "7", None], ids=repr)
def test_one_impossible_count_makes_the_usage_unknown(value: Any) -> None:
    assert Usage(5, 0, value, 0, 5) == Usage()


def test_a_result_can_be_stored_whatever_it_was_made_of() -> None:
    names = tuple(f"field\0{n}" + "x" * 500 for n in range(1000))
    result = Result(LINE, False, b"\n", status_code=2**70, error_code="\0" * 300, dropped=names)
    assert result.status_code is None
    assert result.error_code == bounds.UNFIT * 128
    assert len(result.dropped) == bounds.MAX_FIELDS
    assert all(len(name) <= 128 and "\0" not in name for name in result.dropped)


def test_what_connectors_report_can_be_stored() -> None:
    error = JobError("c\0" * 200, "m\0\ud800" * 5000, "p\n" * 500, -3)
    assert (len(error.code), len(error.message), error.line) == (128, 4096, None)
    job = NativeJob("b1", "failed", "s" * 99, total=2**80, expires_at=True, metadata={"k\0" * 99: "v" * 999})
    assert (len(job.native_status), job.total, job.expires_at) == (64, None, None)
    assert all(len(key) <= 64 and len(value) <= 512 for key, value in job.metadata.items())
    row = JobResult("c\0", 2**65, body=b"{}")
    assert (row.custom_id, row.status_code, row.error_code) == (f"c{bounds.UNFIT}", None, "bad_answer")
    wrong = UpstreamError("m\0", code="c\ud800", param="\0", request_id="\0")
    assert "\0" not in f"{wrong}{wrong.message}{wrong.code}{wrong.param}{wrong.request_id}"
    wrong.code.encode()


@pytest.mark.parametrize("native_id", ["", "x" * 513, "a\0b", "a\nb", "a\ud800", 7, None], ids=repr)
def test_an_id_that_cannot_be_stored_is_no_answer(native_id: Any) -> None:
    if native_id is not None:
        with pytest.raises(UpstreamServerError, match="id is not an id"):
            NativeFile(native_id, "f", "batch")
    with pytest.raises(UpstreamServerError, match="is not an id"):
        NativeJob("b", "completed", output_id="" if native_id is None else native_id)
