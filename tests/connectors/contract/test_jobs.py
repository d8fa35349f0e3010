"""Jobs of a provider: the same lines give the same results everywhere, and jobs are found, cancelled and deleted."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import SoughtJob
from app.connectors.contract.paging import each_page
from tests.connectors.contract.specimen import MARKER
from tests.connectors.contract.specimens import SPECIMENS, abilities
from tests.fakes.faults import Fault
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    payload,
    plain,
    said,
    until_over,
    wanted,
)


def can(operation, when=lambda specimen: True):
    """Every specimen that has `operation` of its own, and of which `when` is true."""
    found = [each for each in SPECIMENS if abilities(each).support(operation) is Support.NATIVE and when(each)]
    return pytest.mark.parametrize("specimen", found, ids=lambda specimen: specimen.provider)


def forms(specimen):
    """How lines get to a job: in the request that creates it, or in a file."""
    jobs = abilities(specimen).jobs
    return ["inline"] if jobs.inline else ["file", "inline"] if jobs.inline_bytes else ["file"]


def submit(specimen, connector, *, count=LINES, model="", form="", marker=MARKER, **fields):
    """A job of lines that all connectors are tested with."""
    model = model or specimen.models[0]
    data = encoded(connector, job_lines(model, count=count, endpoint=specimen.endpoint))
    new = new_job(model, lines=count, marker=marker, endpoint=specimen.endpoint, **fields)
    if (form or forms(specimen)[0]) == "inline":
        return connector.create_job(replace(new, payload=payload(data)))
    name = f"batchgate-{marker}.jsonl"
    file = connector.upload_file(new_file(data, filename=name, endpoint=specimen.endpoint, lines=count))
    while file.status == "processing":
        file = connector.retrieve_file(file.id)
    return connector.create_job(replace(new, input_id=file.id))


def over(specimen, connector, job, *, model=""):
    """The job when it is over, as the gateway hands it back for its results, which are there."""
    job = replace(until_over(connector, job), endpoint=specimen.endpoint, model=model or specimen.models[0])
    while (
        specimen.rows_by_url
        and job.status == "completed"
        and connector.retrieve_file(job.output_id).status == "processing"
    ):
        pass
    return job


@pytest.mark.parametrize(
    ("specimen", "model", "setting", "form"),
    [
        pytest.param(each, model, setting, form, id=f"{each.provider}-{model}-{setting}-{form}")
        for each in SPECIMENS
        if CHAT in abilities(each).jobs.endpoints
        for model in each.models
        for setting in each.settings
        for form in forms(each)
    ],
)
def test_every_line_of_a_job_has_its_result(specimen, server, connector, model, setting, form):
    for name, value in specimen.settings[setting].items():
        setattr(server.app, name, value)
    made = submit(specimen, connector, model=model, form=form)
    job = until_over(connector, made)

    assert made.marker == (MARKER if specimen.keeps_marker else None)
    assert {name: getattr(made, name) for name in specimen.made} == specimen.made
    assert {name: getattr(job, name) for name in specimen.ended} == specimen.ended
    assert job.status == "completed"
    assert (job.total, job.completed, job.failed) == ((40, 38, 2) if specimen.counts else (None, None, None))
    assert job.created_at <= job.ended_at if specimen.tells_end else job.ended_at is None
    assert job.ended_at is None or job.expires_at is None or job.ended_at < job.expires_at
    if specimen.lifetime_s:
        assert job.expires_at == job.created_at + specimen.lifetime_s * 1000
    assert job.usage is None or job.usage.total_tokens > 0
    results = list(connector.results(over(specimen, connector, job, model=model)))
    assert plain(said(results)) == wanted()
    assert all(result.usage.total_tokens > 0 for result in results if result.status_code == 200)


@can("batch_results", when=lambda specimen: CHAT in abilities(specimen).jobs.endpoints)
def test_raw_results_are_the_providers_own_lines(specimen, connector):
    job = over(specimen, connector, submit(specimen, connector))

    rows = list(connector.raw_results(job))

    assert len(rows) == LINES
    for row in rows:
        assert row.endswith(b"\n") and isinstance(orjson.loads(row), dict)


@can("batch_list", when=lambda specimen: specimen.add_job is not None)
def test_jobs_are_listed_to_the_end(specimen, server, connector):
    made = [specimen.add_job(server.app, number) for number in range(specimen.many_jobs)]

    pages = list(each_page(connector.list_jobs))

    listed = [job.id.rpartition("/")[2] for page in pages for job in page.items]
    assert listed == [native_id.rpartition("/")[2] for native_id in made[:: -1 if specimen.jobs_newest_first else 1]]
    assert len(pages) > 1 or not specimen.pages


@can("batch_create", when=lambda specimen: abilities(specimen).jobs.finds and specimen.keeps_marker)
def test_a_job_is_found_by_its_marker(specimen, connector):
    markers = ["bg-other-1", MARKER, "bg-other-2"]
    made = {marker: submit(specimen, connector, count=1, marker=marker) for marker in markers}

    found = connector.find_jobs(SoughtJob(MARKER, made[MARKER].input_id, made[MARKER].created_at))

    assert [(job.id, job.marker) for job in found] == [(made[MARKER].id, MARKER)]
    assert connector.find_jobs(SoughtJob("bg-none", "file-none", 0)) == []


@can("batch_create", when=lambda specimen: abilities(specimen).jobs.finds and not specimen.keeps_marker)
def test_a_job_without_a_marker_is_found_by_its_input_and_time(specimen, connector):
    made = submit(specimen, connector, count=1)

    def found(input_id, not_before):
        return [job.id for job in connector.find_jobs(SoughtJob(MARKER, input_id, not_before))]

    assert found(made.input_id, made.created_at - 1000) == [made.id]
    assert found("other", made.created_at - 1000) == []
    assert found(made.input_id, made.created_at + 60_000) == []


@can("batch_cancel", when=lambda specimen: specimen.keeps_cancelled)
def test_a_cancelled_job_stays_cancelled(specimen, server, connector):
    server.app.looks_to_end = None
    made = submit(specimen, connector, count=5)

    asked = connector.cancel_job(made.id)
    job = over(specimen, connector, asked)
    again = connector.cancel_job(made.id)

    assert asked.status == specimen.cancelling
    assert (job.status, again.status) == ("cancelled", "cancelled")
    assert job.ended_at is not None and job.errors == ()
    for result in connector.results(job):
        assert result.status_code == 200 or result.error_code == "batch_cancelled"


@can("batch_cancel")
def test_a_job_that_is_over_is_not_cancelled(specimen, connector):
    job = until_over(connector, submit(specimen, connector, count=1))

    assert connector.cancel_job(job.id).status == "completed"
    assert connector.retrieve_job(job.id).status == "completed"


@can("batch_cancel")
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_cancel_that_is_refused_of_a_running_job_is_no_end_and_asked_for_again(specimen, server, connector, status):
    server.app.looks_to_end = None
    made = submit(specimen, connector, count=1)
    refusal = b'{"error": {"message": "Not now.", "type": "t", "code": "c"}}'
    for method, path in (("POST", "cancel"), ("POST", "/stop"), ("DELETE", "")):
        server.faults.add(Fault(method=method, path=path, status=status, body=refusal))

    with pytest.raises(UpstreamError) as refused:
        connector.cancel_job(made.id)
    assert (refused.value.status, refused.value.message) == (status, "Not now.")
    server.faults.clear()
    assert not connector.retrieve_job(made.id).is_over
    assert connector.cancel_job(made.id).status in ("cancelling", "cancelled")


@can("batch_delete")
def test_a_job_that_is_over_is_deleted(specimen, connector):
    made = submit(specimen, connector, count=1)
    if specimen.early_deletion:
        with pytest.raises(RefusedError) as early:
            connector.delete_job(made.id)
        assert early.value.status == specimen.early_deletion
    until_over(connector, made)

    connector.delete_job(made.id)
    connector.delete_job(made.id)

    with pytest.raises(MissingError):
        connector.retrieve_job(made.id)


@pytest.mark.parametrize(
    ("specimen", "form"),
    [
        pytest.param(each, form, id=f"{each.provider}-{form}")
        for each in SPECIMENS
        if CHAT in abilities(each).jobs.endpoints
        for form in forms(each)
    ],
)
def test_results_that_are_cut_are_an_upstream_error(specimen, server, connector, form):
    job = over(specimen, connector, submit(specimen, connector, form=form))
    server.faults.add(Fault(method="GET", path=specimen.rows_path, cut_at=specimen.cut_at))
    seen = []

    with pytest.raises(UpstreamError):
        for result in connector.results(job):
            seen.append(result)

    assert not seen or not specimen.rows_at_once
