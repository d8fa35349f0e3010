"""The truth table of ends, and what a batch shows of its jobs."""

from itertools import chain, combinations
from types import SimpleNamespace
from typing import Any

import pytest

from app.services.jobs.fold import PRECEDENCE, ending, fold

ENDINGS = {
    "cancelled": "cancelled",
    "expired": "expired",
    "completed": "completed",
    "failed": "failed",
    "cancelled expired": "cancelled",
    "cancelled completed": "cancelled",
    "cancelled failed": "cancelled",
    "expired completed": "expired",
    "expired failed": "expired",
    "completed failed": "completed",
    "cancelled expired completed": "cancelled",
    "cancelled expired failed": "cancelled",
    "cancelled completed failed": "cancelled",
    "expired completed failed": "expired",
    "cancelled expired completed failed": "cancelled",
}


def job(state: str, status: str | None = None, **values: Any) -> Any:
    names = ("lines_completed", "lines_failed", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    fields = dict.fromkeys((*names, "total_tokens"), 0)
    told = dict.fromkeys(
        ("native_total", "native_completed", "native_failed", "native_expires_at", "errors", "native_id")
    )
    return SimpleNamespace(**{**fields, **told, "state": state, "status": status, "lines": 10, **values})


@pytest.mark.parametrize("outcomes", ENDINGS)
def test_every_combination_has_one_end(outcomes: str) -> None:
    assert ending(outcomes.split()) == ENDINGS[outcomes]
    assert fold([job("done", status) for status in outcomes.split()]).ending == ENDINGS[outcomes]


def test_the_table_is_whole() -> None:
    sizes = range(1, len(PRECEDENCE) + 1)
    every = chain.from_iterable(combinations(PRECEDENCE, size) for size in sizes)
    assert {" ".join(words) for words in every} == set(ENDINGS)


@pytest.mark.parametrize("state", ["pending", "creating", "running", "ended", "unknown"])
def test_a_job_that_is_not_done_keeps_the_batch_open(state: str) -> None:
    assert fold([job("done", "completed"), job(state)]).ending is None


@pytest.mark.parametrize(
    ("one", "runs"),
    [
        (job("pending"), False),
        (job("creating"), False),
        (job("running", "validating", native_id="b"), False),
        (job("running", "in_progress", native_id="b"), True),
        (job("ended", "completed", native_id="b"), True),
        (job("ended", "failed", native_id="b"), False),
        (job("done", "cancelled"), False),
        (job("done", "completed", native_id="b"), True),
    ],
)
def test_a_batch_runs_once_one_of_its_jobs_has(one: Any, runs: bool) -> None:
    assert fold([job("pending"), one]).runs is runs


def test_counts_are_the_providers_until_the_results_are_here() -> None:
    running = job("running", "in_progress", native_completed=4, native_failed=99)
    coming = job("ended", "completed", native_completed=10, lines_completed=3)
    done = job("done", "completed", native_completed=10, lines_completed=8, lines_failed=2)
    counts = fold([running, coming, done]).counts
    assert (counts["lines_completed"], counts["lines_failed"]) == (4 + 10 + 8, 6 + 0 + 2)


def test_records_that_make_up_a_line_count_as_parts_of_it() -> None:
    running = job("running", "in_progress", native_total=40, native_completed=20, native_failed=8)
    counts = fold([running]).counts
    assert (counts["lines_completed"], counts["lines_failed"]) == (5, 2)


def test_the_expiry_is_the_latest_of_the_jobs_once_all_are_made() -> None:
    early = job("running", "in_progress", native_expires_at=5)
    late = job("running", "in_progress", native_expires_at=9)
    assert fold([early, late]).expires_at == 9
    assert fold([early, job("pending")]).expires_at is None
