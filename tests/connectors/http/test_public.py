"""Where webhooks may go: public addresses only, whatever is written or resolved."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.connectors.http import wire
from app.connectors.http.public import AddressRefusedError, NotReachedError, PublicClient, Reach
from tests.support.certificate import self_signed
from tests.support.receiver import Receiver

pytestmark = pytest.mark.one_database

REFUSED = (
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://017700000001/",
    "https://0177.0.0.1/", "https://0x7f.1/", "https://0/", "https://0.0.0.0/", "https://localhost/",
    "https://LOCALHOST./", "https://a.localhost/", "https://metadata.google.internal/", "https://printer.local/",
    "https://10.0.0.1/", "https://10.255.255.255/", "https://100.64.0.1/", "https://169.254.169.254/latest/meta-data",
    "https://169.254.170.2/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.0.0.192/",
    "https://192.0.2.1/", "https://192.88.99.1/", "https://192.168.1.1/", "https://198.18.0.1/", "https://198.51.100.1/",
    "https://203.0.113.1/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/",
    "https://168.63.129.16/", "https://[::]/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:10.0.0.1]/", "https://[::7f00:1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::1]/", "https://[2001:db8::1]/", "https://[fc00::1]/",
    "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fec0::1]/",
    "https://[ff02::1]/", "https://[100::1]/",
    # Not addresses, but as bad.
    "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "https:///x",
    "https://user@example.com/", "https://example.com:0/", "https://example.com:99999/", "https://example.com/#x",
    "https://example.com\\@127.0.0.1/", "https://exa mple.com/", "https://ex\u0430mple.com/", "//example.com/", "",
    "https://" + "a" * 2048 + ".com/",
)  # fmt: skip
ALLOWED = ("https://8.8.8.8/", "https://[2606:4700::1111]:8443/x?y=1", "https://hooks.example.com/a/b", "https://1.1/")


def resolving(*answers: str | list[str]) -> Any:
    """A resolver that gives each answer in turn, and the last one from then on."""
    left = list(answers)

    def resolve(_host: str, port: int, *_: int) -> list[tuple[Any, ...]]:
        found = left.pop(0) if len(left) > 1 else left[0]
        listed = [found] if isinstance(found, str) else found
        families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in listed}
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for address, family in families.items()]

    return resolve


def test_what_is_not_public_is_refused() -> None:
    assert len(REFUSED) >= 60
    reach = Reach()
    passed = []
    for url in REFUSED:
        for check in (reach.check_url, reach.check):
            try:
                check(url)
            except AddressRefusedError:
                continue
            passed.append(url)
        with pytest.raises(NotReachedError, match="The URL is refused"):
            PublicClient(reach).post(url, b"", headers={})
    assert passed == []
    for url in ALLOWED:
        reach.check_url(url)


def test_a_name_is_refused_for_where_it_leads() -> None:
    for answer in ("127.0.0.1", "10.0.0.1", "::ffff:169.254.169.254", "fe80::1%eth0", ["8.8.8.8", "192.168.0.1"]):
        reach = Reach(resolve=resolving(answer))
        with pytest.raises(AddressRefusedError, match="is not at a public address"):
            reach.check("https://hooks.example.com/")
    Reach(resolve=resolving("8.8.8.8")).check("https://hooks.example.com/")


def test_a_name_that_leads_elsewhere_at_the_next_look_is_refused_at_the_connection() -> None:
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        reach = Reach(resolve=resolving("8.8.8.8", "127.0.0.1"))
        url = f"https://rebinding.example.com:{port}/"
        reach.check(url)
        for _ in range(2):
            with pytest.raises(NotReachedError, match="is not at a public address"):
                PublicClient(reach).post(url, b"{}", headers={})
        assert receiver.received == []


def test_hosts_and_networks_of_the_operator_are_reached() -> None:
    resolve = resolving("127.0.0.1")
    with Receiver(204) as receiver:
        port = receiver.url.rpartition(":")[2]
        for allowed, host in (("hooks.corp", "hooks.corp"), ("x.y, 127.0.0.0/8", "127.0.0.1")):
            client = PublicClient(Reach(allowed, resolve=resolve))
            assert client.post(f"http://{host}:{port}/in", b"{}", headers={"webhook-id": "1"}) == 204
        with pytest.raises(NotReachedError, match="must begin with https"):
            PublicClient(Reach("127.0.0.0/8", resolve=resolve)).post(f"http://b.c:{port}/", b"", headers={})
    assert [request.headers["host"] for request in receiver.received] == [f"hooks.corp:{port}", f"127.0.0.1:{port}"]
    for wrong in ("10.0.0.0/99", "::1/x", "a:b"):
        with pytest.raises(ValueError, match="neither a host name nor a network"):
            Reach(wrong)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver whose certificate is for 127.0.0.1 only, and trusted."""
    path = self_signed(tmp_path / "cert.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    receiver = Receiver(200)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    receiver._server.socket = context.wrap_socket(receiver._server.socket, server_side=True)
    with receiver:
        yield receiver
    wire._tls_context.cache_clear()


def test_tls_goes_by_the_name_and_not_by_the_address(tls: Receiver) -> None:
    port = tls.url.rpartition(":")[2]
    reach = Reach("127.0.0.1, other.corp", resolve=resolving("127.0.0.1"))
    assert PublicClient(reach).post(f"https://127.0.0.1:{port}/", b"{}", headers={}) == 200
    with pytest.raises(NotReachedError, match="TLS with the host failed"):
        PublicClient(reach).post(f"https://other.corp:{port}/", b"{}", headers={})
    assert len(tls.received) == 1


def test_what_answers_slowly_or_without_end_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = PublicClient(Reach("127.0.0.1"), answer_s=0.2)
        with pytest.raises(NotReachedError, match=r"No answer within 0\.2 s"):
            client.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"{}", headers={})
    with Receiver() as endless:
        endless.answer_headers = [("Content-Length", str(10**12))]
        assert PublicClient(Reach("127.0.0.1")).post(endless.url, b"{}", headers={}) == 200
