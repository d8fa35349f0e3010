"""Answers that make no sense: whatever the call, an UpstreamError comes of them, and nothing else."""

import pytest

from app.connectors.contract.abilities import Support
from tests.connectors.contract.specimens import SPECIMENS, abilities
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
