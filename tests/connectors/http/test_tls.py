"""TLS: certificates are verified, and an operator's own authority can be trusted."""

import socket
import ssl
import threading
import time
from contextlib import suppress

import pytest

from app.connectors.contract.errors import UpstreamServerError, UpstreamTimeoutError
from app.connectors.http.lines import LineClient
from app.connectors.http.remote import Remote
from app.connectors.http.transport import Client
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


def get(url):
    client = Client(connect_timeout_s=5)
    return lambda: client.send("GET", f"{url}/v1/models", timeout_s=5)


def post_line(url):
    client = LineClient(Remote(url), connect_timeout_s=5)
    return lambda: client.post("/v1/models", b"{}", timeout_s=5)


EACH = pytest.mark.parametrize("make", [get, post_line])


@EACH
def test_an_unknown_authority_is_refused_before_anything_is_sent(server, make):
    with pytest.raises(UpstreamServerError, match="TLS with the provider failed") as refused:
        make(server.url)()

    assert refused.value.sent is False
    assert server.requests == []


@pytest.mark.parametrize(("make", "answer"), [(get, 200), (post_line, 404)])
def test_an_authority_named_by_ssl_cert_file_is_trusted(server, certificate, monkeypatch, make, answer):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    call = make(server.url)

    assert [call().status for _ in range(2)] == [answer] * 2
    assert server.accepted == 1


def test_a_download_by_tls_comes_whole(server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with Client().stream(f"{server.url}/v1/models", timeout_s=5, silence_s=5) as (head, pieces):
        assert head.status == 200 and b"".join(pieces).startswith(b"{")


def test_a_handshake_that_drips_ends_with_the_deadline():
    """Each byte comes before the socket's own timeout: only the deadline for the whole call ends it."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the client leaves
            connection.recv(65536)
            connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB, which comes byte by byte
            while not stop.wait(0.02):
                connection.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    client = Client(connect_timeout_s=5)
    began = time.monotonic()
    try:
        with pytest.raises(UpstreamTimeoutError) as late:
            client.send("POST", f"https://127.0.0.1:{listener.getsockname()[1]}/x", timeout_s=0.3)
    finally:
        stop.set()
        thread.join()
        listener.close()

    assert (late.value.sent, late.value.code) == (False, "connect_timeout")
    assert time.monotonic() - began < 60  # all of it would take 300
