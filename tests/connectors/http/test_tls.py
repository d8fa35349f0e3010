"""TLS: certificates are verified, and an operator's own authority can be trusted."""

import ssl

import pytest

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.http.lines import HttpClient
from tests.fakes.openai_server import FakeServer
from tests.support.certificate import self_signed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A PEM file with a self-signed certificate for 127.0.0.1, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FakeServer(tls=context) as server:
        yield server


def test_an_unknown_authority_is_refused_before_anything_is_sent(server):
    with pytest.raises(UpstreamServerError, match=r"TLS with https://127\.0\.0\.1:\d+ failed") as refused:
        HttpClient(server.url).post("/v1/models", b"{}", timeout_s=5)

    assert refused.value.sent is False
    assert server.requests == []


def test_an_authority_named_by_ssl_cert_file_is_trusted(server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    client = HttpClient(server.url)

    assert client.get("/v1/models", timeout_s=5).status == 200
    assert client.get("/v1/models", timeout_s=5).status == 200
    assert server.accepted == 1
    client.close()
