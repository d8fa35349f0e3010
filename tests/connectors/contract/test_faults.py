"""What goes wrong on the wire, and what a connector makes of it: the right error, no secret, and no second POST."""

import pytest

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError, UpstreamServerError
from tests.connectors.contract.specimens import SPECIMENS, abilities
from tests.e2e.conformance.farm import key_of
from tests.fakes.faults import Fault
from tests.support.broken_answers import FAULTS
from tests.support.native_jobs import secrets_in

ANSWERED = {"run_line"}  # the status of a line is its answer
FEW = {"upload_file", "list_files", "create_job", "results"}  # enough where another specimen runs the same code


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("specimen", "name"),
    [
        pytest.param(each, name, id=f"{each.provider}-{name}")
        for each in SPECIMENS
        for name in each.answers
        if name not in ANSWERED and (name in FEW or not each.alike)
    ],
)
def test_faults_are_upstream_errors_and_posts_are_sent_once(specimen, server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    try:
        specimen.call(name)(connector)
    except UpstreamError as error:
        assert isinstance(error, kind)
        assert str(error) and not secrets_in(error, key_of(specimen.provider))
        assert fault != "429" or error.retry_after_s == 7
    else:
        assert fault == "404" and name in specimen.missing_is_fine
    if (name, fault) != ("cancel_job", "404"):  # there may be another path to try
        assert sum(1 for request in server.requests if request.method == "POST") <= 1


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.provider)
def test_a_key_that_is_refused_shows_nowhere(specimen, server, connector):
    key = key_of(specimen.provider)
    server.app.api_key = "another"
    calls = ["check", *(name for name in ("list_files", "list_jobs", "upload_file") if name in specimen.answers)]

    for name in calls:
        with pytest.raises(RefusedError) as refused:
            specimen.call(name)(connector)
        assert refused.value.status == specimen.key_status
        assert not secrets_in(refused.value, key)


@pytest.mark.parametrize("name", ["check", "list_models"])
@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.provider)
def test_a_4xx_is_a_refusal_for_every_connector(specimen, server, connector, name):
    for status in (400, 401, 403, 404, 422):
        server.faults.clear()
        server.faults.add(Fault(status=status, body=b'{"error": {"message": "No.", "code": "nope"}}'))
        server.forget()

        try:
            specimen.call(name)(connector)
        except RefusedError as refused:
            assert isinstance(refused, MissingError) == (status == 404)
            assert (refused.status, len(server.requests)) == (status, 1)  # a refusal is never repeated
            assert refused.message
        else:
            assert name == "list_models" and not server.requests  # this provider lists none


READS = {
    "read_file": "file_content",
    "read_container_file": "container_file_content",
    "results": "batch_results",
    "raw_results": "batch_results",
}


@pytest.mark.parametrize(
    ("specimen", "name"),
    [
        pytest.param(each, name, id=f"{each.provider}-{name}")
        for each in SPECIMENS
        for name, operation in READS.items()
        if abilities(each).support(operation) is Support.NATIVE
    ],
)
def test_bytes_that_do_not_come_whole_are_an_upstream_error(specimen, server, connector, name):
    body = b'{"id": "x"}\n' * 100
    server.faults.add(Fault(method="GET", status=200, body=body, length_off=100, cut_at=len(body)))

    with pytest.raises(UpstreamServerError):
        specimen.call(name)(connector)
