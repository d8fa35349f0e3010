"""Answers that make no sense: whatever the call, an UpstreamError comes of them, and nothing else."""

import copy

import orjson
import pytest

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import NativeContainer, NativeContainerFile, NativeFile, NativeJob, SoughtJob
from app.connectors.contract.paging import UNREAD_ROWS
from tests.connectors.contract.specimens import SPECIMENS, abilities
from tests.fakes.faults import Fault
from tests.support.broken_answers import NEVER_RIGHT, NOT_JSON, refuses, tolerates, variants

EACH_CALL = pytest.mark.parametrize(
    ("specimen", "name"),
    [pytest.param(each, name, id=f"{each.provider}-{name}") for each in SPECIMENS for name in each.answers],
)
CALLS_OF = {
    "file_upload": "upload_file",
    "file_retrieve": "retrieve_file",
    "file_list": "list_files",
    "batch_create": "create_job",
    "batch_retrieve": "retrieve_job",
    "batch_list": "list_jobs",
    "batch_results": "results",
    "container_create": "create_container",
    "container_retrieve": "retrieve_container",
    "container_list": "list_containers",
    "container_file_list": "list_container_files",
    "container_file_retrieve": "retrieve_container_file",
}


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.provider)
def test_there_is_an_answer_to_break_for_every_operation_of_a_providers_own(specimen):
    declared = abilities(specimen)
    own = {name for name in CALLS_OF if declared.support(name) is Support.NATIVE}
    in_bucket = {name for name in own if name.startswith("file_") and declared.files.bucket}

    assert {CALLS_OF[name] for name in own - in_bucket} <= set(specimen.answers)


@EACH_CALL
def test_what_is_never_right_is_refused(specimen, server, connector, name):
    bodies = dict(NEVER_RIGHT)
    if name in specimen.empty_body_is_fine:
        del bodies["nothing"]
    if name.startswith("delete"):
        bodies |= {"kept": b'{"deleted": false}', "empty list": b"[]"}
        del bodies["null"]
    if name not in specimen.empty_object_is_fine:
        bodies["empty object"] = b"{}"
    if not name.startswith(("delete", "results")):
        bodies |= {str(number): body for number, body in enumerate(specimen.nonsense)}
    for body in bodies.values():
        refuses(lambda: specimen.call(name)(connector), server, body, specimen.complaint)


@EACH_CALL
def test_what_is_no_json_is_refused(specimen, server, connector, name):
    for body in NOT_JSON.values():
        refuses(lambda: specimen.call(name)(connector), server, body)


@pytest.mark.parametrize(
    ("specimen", "name"),
    [
        pytest.param(each, name, id=f"{each.provider}-{name}")
        for each in SPECIMENS
        for name, (_, members) in each.answers.items()
        if members
    ],
)
def test_a_member_that_makes_no_sense_breaks_nothing(specimen, server, connector, name):
    good, members = specimen.answers[name]
    for answer in variants(good, *members):
        tolerates(lambda: specimen.call(name)(connector), server, answer)


# Calls whose answer is one object, and the members that are its id.
OBJECTS = (
    *("upload_file", "retrieve_file", "create_job", "retrieve_job", "cancel_job"),
    *("create_container", "retrieve_container", "put_container_file", "copy_container_file", "retrieve_container_file"),
)
LISTS = ("list_files", "list_jobs", "find_jobs", "list_containers", "list_container_files")
NO_ROWS = (None, {"id": None, "status": {}, "name": -1, "jobArn": [], "batch_id": ""}, 17)


def answering(server, answer):
    server.faults.clear()
    server.faults.add(Fault(status=200, body=orjson.dumps(answer)))


@pytest.mark.parametrize(
    ("specimen", "name"),
    [
        pytest.param(each, name, id=f"{each.provider}-{name}")
        for each in SPECIMENS
        for name, (_, members) in each.answers.items()
        if members and name in OBJECTS and (each.provider, name) != ("gemini", "upload_file")  # in two steps
    ],
)
def test_an_answer_with_an_id_is_an_object_whatever_else_it_holds(specimen, server, connector, name):
    good, members = specimen.answers[name]
    answering(server, good)
    made = specimen.call(name)(connector)
    assert isinstance(made, NativeFile | NativeJob | NativeContainer | NativeContainerFile)
    own = f'{made.id.rpartition("/")[2]}"'.encode()

    for odd in variants(good, *members):
        if b'"' + own in orjson.dumps(odd) or b"/" + own in orjson.dumps(odd):
            answering(server, odd)
            found = specimen.call(name)(connector)
            assert found.id == made.id, odd
            if isinstance(found, NativeJob) and name != "cancel_job":
                assert found.status == made.status or found.status == "in_progress" or not made.is_over, odd


@pytest.mark.parametrize(
    ("specimen", "name"),
    [
        pytest.param(each, name, id=f"{each.provider}-{name}")
        for each in SPECIMENS
        for name, (_, members) in each.answers.items()
        if members and name in LISTS and (each.provider, name) != ("fireworks", "find_jobs")  # it reads no list
    ],
)
def test_rows_that_cannot_be_read_spoil_no_list(specimen, server, connector, name):
    good, _ = specimen.answers[name]
    answering(server, _without_cursor(good))
    before = specimen.call(name)(connector)
    spoilt = copy.deepcopy(_without_cursor(good))
    rows = spoilt if isinstance(spoilt, list) else next(value for value in spoilt.values() if isinstance(value, list))
    rows[:0], rows[len(rows) :] = NO_ROWS[:1], NO_ROWS[1:]
    answering(server, spoilt)

    after = specimen.call(name)(connector)

    if isinstance(after, list):
        assert after == before != []
    else:
        assert (after.items, after.unread) == (before.items, len(NO_ROWS))


@pytest.mark.parametrize(
    "specimen",
    [each for each in SPECIMENS if "find_jobs" in each.answers and each.provider != "fireworks"],  # it reads no list
    ids=lambda specimen: specimen.provider,
)
def test_a_search_that_finds_nothing_among_rows_that_cannot_be_read_proves_nothing(specimen, server, connector):
    good = copy.deepcopy(_without_cursor(specimen.answers["find_jobs"][0]))
    other = SoughtJob("bg-marker-2", None, 0)
    answering(server, good)
    assert connector.find_jobs(other) == []
    next(value for value in good.values() if isinstance(value, list)).append(NO_ROWS[1])
    answering(server, good)

    with pytest.raises(UpstreamServerError) as unclear:
        connector.find_jobs(other)
    assert unclear.value.code == UNREAD_ROWS


def _without_cursor(page):
    if isinstance(page, list):
        return page
    return {name: False if name == "has_more" else value for name, value in page.items() if "token" not in name.lower()}
