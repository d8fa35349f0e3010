"""TLS: certificates are verified, and an operator's own authority can be trusted."""

import datetime
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.connectors.base import UpstreamServerError
from app.connectors.http import HttpClient
from tests.fakes.openai_server import FakeServer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A PEM file with a self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + built.public_bytes(pem))
    return path


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
