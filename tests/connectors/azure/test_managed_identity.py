"""Azure with the managed identity of the machine: tokens come from its metadata service."""

import threading

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import (
    ConfigurationError,
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
    UpstreamTimeoutError,
)
from app.connectors.contract.refusals import Kind
from app.connectors.providers.azure.entra import Entra, ManagedIdentity, identity
from tests.fakes.azure_app import AzureApp
from tests.fakes.faults import Fault
from tests.fakes.imds_app import PATH, SYSTEM, ImdsApp
from tests.fakes.openai_quirks import CHAT
from tests.fakes.serving import ServedApp
from tests.support.openai_family import KEY, connect

HELLO = {"model": "gpt-x", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def imds():
    with ServedApp(ImdsApp(SYSTEM, "user-1")) as server:
        yield server


@pytest.fixture
def server(imds):
    fake = AzureApp(api_key=KEY)
    fake.tokens = imds.app.given
    with ServedApp(fake) as server:
        yield server


@pytest.fixture
def account(server, imds):
    connectors = []

    def make(**fields):
        credential = orjson.dumps({"managed_identity": True, **fields}).decode()
        connectors.append(connect("azure", server.url, credential=credential, identity_endpoint=imds.url))
        return connectors[-1]

    yield make
    for connector in connectors:
        connector.close()


@pytest.mark.parametrize(
    ("fields", "query"), [({}, ""), ({"client_id": ""}, ""), ({"client_id": "user-1"}, "&client_id=user-1")]
)
def test_the_identity_opens_the_resource(account, server, imds, fields, query):
    connector = account(**fields)

    connector.check()
    answer = connector.run_line(LineCall(CHAT, HELLO, 5))

    assert answer.status_code == 200
    [request], [token] = imds.requests, imds.app.given
    assert (request.method, request.path, request.headers["metadata"]) == ("GET", PATH, "true")
    assert request.query == "api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com" + query
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {token}"}


def test_threads_share_one_token(account, imds):
    connector = account()
    threads = [threading.Thread(target=connector.check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(imds.requests) == 1


def test_a_token_is_renewed_before_it_expires(account, imds):
    imds.app.lifetime_s = 0
    connector = account()

    connector.check()
    connector.check()

    assert len(imds.app.given) == 2


def test_an_identity_that_the_machine_does_not_have_is_refused(account, server):
    with pytest.raises(RefusedError, match="refused the managed identity: Identity not found") as refusal:
        account(client_id="user-2").check()

    assert (refusal.value.status, refusal.value.sent) == (400, False)
    assert server.requests == []


@pytest.mark.parametrize("status", [404, 410, 429, 503])
def test_a_service_that_is_busy_or_being_updated_is_overload(account, server, imds, status):
    imds.faults.add(Fault(status=status, body=b"", times=1))
    connector = account()

    with pytest.raises(OverloadedError) as error:
        connector.check()
    connector.check()

    assert (error.value.status, error.value.sent) == (status, False)
    assert len(imds.requests) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"access_token": 17}',
        b'{"access_token": "t", "expires_in": "soon"}',
        b"x" * 2**21,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_nonsense_is_an_upstream_error(account, server, imds, body, status):
    imds.faults.add(Fault(status=status, body=body))

    with pytest.raises(UpstreamError) as error:
        account().check()

    assert not error.value.sent and server.requests == []
    if status == 200:
        assert isinstance(error.value, UpstreamServerError)


@pytest.mark.parametrize(
    "fault",
    [Fault(reset=True), Fault(hang_up=True), Fault(cut_at=10), Fault(status=302, body=b"")],
    ids=["reset", "hang up", "cut", "redirect"],
)
def test_a_broken_answer_is_an_upstream_error(account, server, imds, fault):
    imds.faults.add(fault)

    with pytest.raises(UpstreamServerError) as error:
        account().check()

    assert not error.value.sent and server.requests == []


def test_a_service_that_drips_is_given_up_in_time(imds):
    imds.faults.add(Fault(drip_s=0.05))
    tokens = Entra(ManagedIdentity(endpoint=imds.url), timeout_s=0.3)

    with pytest.raises(UpstreamTimeoutError) as error:
        tokens.token()
    tokens.close()

    assert not error.value.sent


def test_a_machine_without_the_service_is_an_error_that_sent_nothing(server):
    connector = connect(
        "azure", server.url, credential='{"managed_identity":true}', identity_endpoint="http://127.0.0.1:9"
    )

    with pytest.raises(OverloadedError) as error:
        connector.check()
    connector.close()

    assert not error.value.sent and server.requests == []


def test_tokens_are_in_no_error(account, server, imds):
    server.app.tokens = set()
    connector = account()

    with pytest.raises(RefusedError) as refusal:
        connector.check()
    with pytest.raises(OverloadedError) as line:
        connector.run_line(LineCall(CHAT, HELLO, 5))

    [token] = imds.app.given
    for error in (refusal.value, line.value):
        assert (error.status, error.kind) == (401, Kind.CREDENTIAL)
        assert "[redacted]" in error.message and token not in str(error) + repr(error.body)


@pytest.mark.parametrize(
    "credential",
    [
        '{"managed_identity": false}',
        '{"managed_identity": "true"}',
        '{"managed_identity": 1}',
        '{"managed_identity": true, "client_id": 17}',
    ],
)
def test_a_credential_that_names_no_identity_cannot_be_used(credential):
    with pytest.raises(ConfigurationError, match="managed_identity: true"):
        connect("azure", "http://127.0.0.1:9", credential=credential)


def test_the_metadata_service_is_called_only_for_a_managed_identity():
    application = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}

    assert identity({"managed_identity": True}, {}).call().url.startswith("http://169.254.169.254/metadata/")
    assert identity(application, {}).call().url == "https://login.microsoftonline.com/t/oauth2/v2.0/token"
