"""Azure in both address styles, with a key, a token, and Entra ID: what differs from OpenAI."""

import threading

import orjson
import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import CONTAINERS, Support
from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import (
    ConfigurationError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
)
from app.connectors.contract.refusals import Kind
from tests.fakes.azure_app import AzureApp, EntraApp
from tests.fakes.faults import Fault
from tests.fakes.openai_quirks import CHAT, RESPONSES
from tests.fakes.serving import ServedApp
from tests.support.openai_family import KEY, MARKER, by_id, connect, ended, lines, new_file, started

DATED = "2024-10-21"
TENANT = "contoso"
SECRET = "canary-client-secret"
HELLO = {"model": "gpt-x", "messages": [{"role": "user", "content": "hi"}]}
DAYS_20 = 20 * 24 * 3600


@pytest.fixture
def fake(request):
    return AzureApp(dated=getattr(request, "param", True), api_key=KEY)


@pytest.fixture
def server(fake):
    with ServedApp(fake) as server:
        yield server


@pytest.fixture
def connector(server, fake):
    connector = connect("azure", server.url, **({"api_version": DATED} if fake.dated else {}))
    yield connector
    connector.close()


@pytest.fixture
def entra():
    app = EntraApp(tenant=TENANT, client_id="app-1", client_secret=SECRET)
    with ServedApp(app) as server:
        yield server


v1 = pytest.mark.parametrize("fake", [False], indirect=True, ids=["v1"])


def client(**changes):
    return orjson.dumps({"tenant_id": TENANT, "client_id": "app-1", "client_secret": SECRET, **changes}).decode()


def test_a_job_of_the_dated_style_is_told_in_openais_words(connector, fake, server):
    data = lines(connector, ["one", "refuse-this"])

    job = started(connector, data, metadata={"team": "x"}, output_expires_after_s=3600)
    made = orjson.loads(server.requests[-1].body)
    before = job
    job = ended(connector, job)

    assert orjson.loads(data.splitlines()[0])["url"] == made["endpoint"] == "/chat/completions"
    assert "output_expires_after" not in made
    assert (before.status, before.native_status, before.total) == ("validating", "Validating", None)
    assert (job.status, job.native_status, job.endpoint, job.total) == ("completed", "Completed", CHAT, 2)
    assert (job.marker, job.metadata) == (MARKER, {"team": "x"})
    assert job.created_at <= job.ended_at and job.created_at % 1000 == 0
    results = by_id(connector.results(job))
    assert (results["r-0"].status_code, results["r-1"].status_code) == (200, 400)
    assert {f"api-version={DATED}"} == {request.query.partition("&limit")[0] for request in server.requests}


@pytest.mark.parametrize("fake", [True, False], indirect=True, ids=["dated", "v1"])
def test_a_file_is_not_ready_until_it_is_processed(connector):
    file = connector.upload_file(new_file(lines(connector, ["one"])))

    seen = [file.status] + [connector.retrieve_file(file.id).status for _ in range(3)]

    assert seen == ["processing", "processing", "processing", "processed"]


@pytest.mark.parametrize("fake", [True, False], indirect=True, ids=["dated", "v1"])
def test_an_empty_file_of_errors_is_no_result(connector):
    job = ended(connector, started(connector, lines(connector, ["one"])))

    assert job.error_id is not None
    assert [result.status_code for result in connector.results(job)] == [200]


def test_lists_of_the_dated_style(connector, fake):
    files = [fake.add_file(b"", filename="a.jsonl", purpose="batch").id for _ in range(103)]
    jobs = [fake.add_job([], endpoint=CHAT, model="", fields={"window": "24h"}).id for _ in range(3)]

    page = connector.list_files()

    assert [file.id for file in page.items] == files[::-1] and page.after is None
    assert [job.id for job in connector.list_jobs().items] == jobs[::-1]


def test_the_dated_style_takes_no_expiry_and_has_no_containers(connector, server):
    connector.upload_file(new_file(b"", expires_after_s=3600))

    assert b"expires_after" not in server.requests[-1].body
    assert all(connector.abilities.support(operation) is Support.NONE for operation in CONTAINERS)
    assert connector.abilities.jobs.dialect == "azure-dated"
    assert connector.abilities.jobs.endpoints == {CHAT}


@v1
def test_v1_has_containers_and_openais_dialect(connector):
    assert connector.abilities == registry.abilities("azure")
    assert connector.abilities.support("container_create") is Support.NATIVE
    assert orjson.loads(lines(connector, ["one"]))["url"] == CHAT


@v1
@pytest.mark.parametrize("naming", ["brackets", "dotted"])
def test_fields_of_an_expiry_have_brackets_or_else_dots(server, fake, connector, naming):
    fake.quirks = type(fake.quirks)(**{**vars(fake.quirks), "file_expiry": naming})

    file = connector.upload_file(new_file(b"", expires_after_s=DAYS_20))

    assert file.expires_at - file.created_at == DAYS_20 * 1000
    assert len(server.requests) == (1 if naming == "brackets" else 2)


@v1
def test_another_refusal_of_an_upload_is_not_repeated(server, connector):
    with pytest.raises(RefusedError, match=r"\.jsonl"):
        connector.upload_file(new_file(b"", filename="in.txt", expires_after_s=DAYS_20))
    assert len(server.requests) == 1


def test_lines_of_the_dated_style_go_to_deployments(connector, server):
    chat = connector.run_line(LineCall(CHAT, HELLO, 5))
    vectors = connector.run_line(LineCall("/v1/embeddings", {"model": "e/1", "input": "hi"}, 5))

    assert (chat.status_code, vectors.status_code) == (200, 200)
    assert [request.path for request in server.requests] == [
        "/openai/deployments/gpt-x/chat/completions",
        "/openai/deployments/e%2F1/embeddings",
    ]
    assert connector.run_line(LineCall(RESPONSES, {"model": "gpt-x", "input": "hi"}, 5)).status_code == 200
    assert server.requests[-1].path == "/openai/responses"
    assert connector.list_models(timeout_s=5)[0]["id"] == "fake-model"


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
@pytest.mark.parametrize(("version", "wanted"), [("", "/openai/v1/files"), ("preview", "/openai/v1/files")])
@v1
def test_an_endpoint_may_hold_its_style_already(server, path, version, wanted):
    connector = connect("azure", server.url + path, **({"api_version": version} if version else {}))
    connector.check()
    connector.close()

    assert server.requests[-1].path == wanted
    assert ("api-version=preview" in server.requests[-1].query) == bool(version)


@v1
def test_a_key_goes_into_its_own_header_and_a_token_is_a_bearer(server, fake):
    fake.tokens.add("fixed-token")
    for credential in (KEY, '{"token":"fixed-token"}'):
        connector = connect("azure", server.url, credential=credential)
        connector.check()
        connector.run_line(LineCall(CHAT, HELLO, 5))
        connector.close()

    keys = [(request.headers.get("api-key"), request.headers.get("authorization")) for request in server.requests]
    assert keys == [(KEY, None)] * 2 + [(None, "Bearer fixed-token")] * 2


@v1
def test_a_fixed_token_is_in_no_error(server):
    connector = connect("azure", server.url, credential='{"token":"canary-token"}')
    with pytest.raises(RefusedError) as refusal:
        connector.check()
    with pytest.raises(OverloadedError) as line:
        connector.run_line(LineCall(CHAT, HELLO, 5))
    connector.close()

    for error in (refusal.value, line.value):
        assert (error.status, error.kind) == (401, Kind.CREDENTIAL)
        assert "[redacted]" in error.message and "canary" not in str(error) + repr(error.body)


@pytest.mark.parametrize("credential", ['{"tenant_id": "t"}', "{}", '{"token": 17}', client(client_secret="")])
def test_a_credential_that_is_incomplete_cannot_be_used(credential):
    with pytest.raises(ConfigurationError, match="tenant_id, client_id, client_secret"):
        connect("azure", "http://127.0.0.1:9", credential=credential)


@v1
def test_threads_share_one_token_of_entra(server, fake, entra):
    fake.tokens = entra.app.given
    connector = connect("azure", server.url, credential=client(), authority=entra.url)
    threads = [threading.Thread(target=connector.check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    job = ended(connector, started(connector, lines(connector, ["one"])))
    answer = connector.run_line(LineCall(CHAT, HELLO, 5))
    results = list(connector.results(job))
    connector.close()

    assert len(results) == 1 and answer.status_code == 200
    assert len(entra.requests) == 1
    assert entra.requests[0].path == f"/{TENANT}/oauth2/v2.0/token"


@v1
def test_a_token_is_renewed_before_it_ends(server, fake, entra):
    fake.tokens = entra.app.given
    entra.app.lifetime_s = 0
    connector = connect("azure", server.url, credential=client(), authority=entra.url)
    connector.check()
    connector.check()
    connector.close()

    assert len(entra.app.given) == 2


@v1
def test_entra_that_refuses_is_told_without_the_secret(server, entra):
    connector = connect("azure", server.url, credential=client(client_id="app-2"), authority=entra.url)
    for call in (connector.check, lambda: connector.run_line(LineCall(CHAT, HELLO, 5))):
        with pytest.raises(RefusedError, match="Entra ID refused the client: AADSTS7000215") as refusal:
            call()
        assert SECRET not in str(refusal.value) and not refusal.value.sent
    with pytest.raises(RefusedError), connector.read_file("file-1"):
        pass
    connector.close()

    assert server.requests == []


@v1
@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"<html>", b'{"access_token": 17}', b'{"access_token": "t", "expires_in": []}']
)
def test_nonsense_of_entra_is_an_error_of_the_provider(server, entra, body):
    entra.faults.add(Fault(status=200, body=body))
    connector = connect("azure", server.url, credential=client(), authority=entra.url)

    with pytest.raises(UpstreamServerError) as error:
        connector.upload_file(new_file(b""))
    connector.close()

    assert not error.value.sent and server.requests == []


@v1
def test_entra_that_is_away_is_an_error_that_sent_nothing(server, entra):
    entra.faults.add(Fault(status=503, body=b""))
    connector = connect("azure", server.url, credential=client(), authority=entra.url)

    with pytest.raises(UpstreamError) as error:
        connector.list_files()
    connector.close()

    assert not error.value.sent and server.requests == []


@v1
def test_threads_that_waited_for_the_same_token_fail_together(server, entra):
    entra.faults.add(Fault(status=200, body=b"<html>", latency_s=0.5))
    connector = connect("azure", server.url, credential=client(), authority=entra.url)
    failed = []

    def call():
        try:
            connector.run_line(LineCall(CHAT, HELLO, 5))
        except UpstreamServerError as error:
            failed.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connector.close()

    assert len(failed) == 8 and len(entra.requests) < 4


@v1
def test_tokens_of_entra_are_in_no_error(server, entra):
    connector = connect("azure", server.url, credential=client(), authority=entra.url)
    with pytest.raises(RefusedError) as refusal:
        connector.check()
    with pytest.raises(OverloadedError) as line:
        connector.run_line(LineCall(CHAT, HELLO, 5))
    connector.close()

    [token] = entra.app.given
    for error in (refusal.value, line.value):
        assert (error.status, error.kind) == (401, Kind.CREDENTIAL)
        assert "[redacted]" in error.message and token not in str(error) + repr(error.body)
