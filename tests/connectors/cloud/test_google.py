"""Tokens of Google: asked for once, kept, renewed in time, and in no error."""

import base64
import threading

import orjson
import pytest

from app.connectors.cloud.google import Tokens
from app.connectors.contract.errors import ConfigurationError, OverloadedError, RefusedError, UpstreamError
from tests.fakes import google_keys
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.fakes.vertex_app import VertexApp

TOKEN = "ya29.a-token-of-some-length"
USER = {
    "type": "authorized_user",
    "client_id": "c.apps.googleusercontent.com",
    "client_secret": "GOCSPX-canary-client-secret",
    "refresh_token": "1//right",
    "quota_project_id": "payer",
}


@pytest.fixture
def server():
    with ServedApp(VertexApp(api_key=TOKEN)) as server:
        yield server


@pytest.fixture
def account(server):
    return google_keys.service_account(f"{server.url}/token")


def tokens_of(credential):
    return Tokens(credential, timeout_s=2.0, connect_timeout_s=2.0)


@pytest.mark.parametrize("form", ["plain", "base64"])
def test_a_service_account_gets_a_token_once(server, account, form):
    tokens = tokens_of(account if form == "plain" else base64.b64encode(account.encode()).decode())

    assert tokens.project() == "acme-tests"
    for _ in range(3):
        assert tokens.headers() == {"Authorization": f"Bearer {TOKEN}"}
    assert server.app.tokens_given == 1
    tokens.close()


def test_a_user_gets_a_token_and_says_who_pays(server):
    tokens = tokens_of(orjson.dumps({**USER, "token_uri": f"{server.url}/token"}).decode())

    assert tokens.headers() == {"Authorization": f"Bearer {TOKEN}", "x-goog-user-project": "payer"}
    assert tokens.project() == "payer"
    tokens.close()


def test_default_credentials_are_found_where_google_looks(server, account, tmp_path, monkeypatch):
    (tmp_path / "key.json").write_text(account)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    tokens = tokens_of("default")

    assert (tokens.project(), tokens.token()) == ("acme-tests", TOKEN)
    tokens.close()


def test_default_credentials_that_are_not_there_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    tokens = tokens_of("default")

    with pytest.raises(RefusedError) as missing:
        tokens.token()
    assert (missing.value.status, missing.value.sent) == (401, False)
    tokens.close()


def test_an_access_token_is_used_as_it_is(server):
    assert tokens_of("ya29.given").headers() == {"Authorization": "Bearer ya29.given"}
    assert server.requests == []


def test_a_token_is_renewed_before_its_end(server, account):
    server.app.lifetime_s = 0
    tokens = tokens_of(account)
    tokens.token()
    server.app.token = "ya29.another-token-of-some-length"

    assert tokens.token() == server.app.token
    assert {TOKEN, server.app.token} <= set(tokens.secrets)
    assert server.app.tokens_given == 2
    tokens.close()


def test_threads_share_one_call(server, account):
    server.latency_s = 0.1
    tokens = tokens_of(account)
    found = []
    threads = [threading.Thread(target=lambda: found.append(tokens.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [TOKEN] * 8
    assert server.app.tokens_given == 1
    tokens.close()


def test_what_is_refused_is_told_without_secrets(server):
    info = {**USER, "token_uri": f"{server.url}/token", "refresh_token": "1//canary-refresh-token"}
    tokens = tokens_of(orjson.dumps(info).decode())

    with pytest.raises(RefusedError) as refused:
        tokens.token()
    assert (refused.value.status, refused.value.sent) == (401, False)
    assert "invalid_grant" in refused.value.message and "[redacted]" in refused.value.message
    assert "canary" not in f"{refused.value!r} {refused.value.__cause__!r}"
    tokens.close()


def test_a_signed_request_is_repeated_in_no_error(server):
    key = google_keys.service_account(f"{server.url}/token", client_email="another@acme-tests.iam")
    tokens = tokens_of(key)
    echo = {"error": "invalid_grant", "error_description": "Invalid JWT"}
    server.faults.add(Fault(path="/token", status=400, body=orjson.dumps(echo)))

    with pytest.raises(RefusedError):
        tokens.token()
    sent = server.requests[-1].body.decode()
    assertion = sent.partition("assertion=")[2].partition("&")[0]
    assert assertion in tokens._transport.sent
    tokens.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(reset=True), OverloadedError),
        (Fault(status=200, body=b"[]"), UpstreamError),
        (Fault(status=200, body=b"{}"), UpstreamError),
        (Fault(status=200, body=b"<html>"), UpstreamError),
        (Fault(status=200, body=b'{"access_token": 17, "expires_in": 9}'), UpstreamError),
        (Fault(status=200, body=b'{"access_token": "a\\nb", "expires_in": 9}'), UpstreamError),
        (Fault(status=200, body=b'{"access_token": "ab", "expires_in": "x"}'), UpstreamError),
        (Fault(status=200, body=b'{"access_token": "ab", "expires_in": 1e300}'), UpstreamError),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), UpstreamError),
        (Fault(status=403, body=b"no"), RefusedError),
    ],
    ids=str,
)
def test_nonsense_is_an_upstream_error_and_nothing_was_sent(server, account, fault, kind):
    server.faults.add(fault)
    tokens = tokens_of(account)

    with pytest.raises(kind) as wrong:
        tokens.token()
    assert wrong.value.sent is False
    assert "PRIVATE KEY" not in f"{wrong.value!r}"
    tokens.close()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "external_account"},
        {"type": None},
        {"token_uri": "http://metadata.google.internal/token"},
        {"token_uri": "http://127.0.0.1@evil.example/token"},
        {"token_uri": "file:///etc/passwd"},
        {"token_uri": 17},
        {"token_uri": None},
    ],
    ids=str,
)
def test_credentials_that_are_none(change):
    info = orjson.loads(google_keys.service_account("https://oauth2.googleapis.com/token"))

    with pytest.raises(ConfigurationError) as wrong:
        tokens_of(orjson.dumps(info | change).decode())
    assert "PRIVATE" not in str(wrong.value)


def test_a_key_that_is_none_is_told_without_it(server):
    tokens = tokens_of(google_keys.service_account(f"{server.url}/token", private_key="canary key, no PEM at all"))

    with pytest.raises(UpstreamError) as wrong:
        tokens.token()
    assert "canary" not in f"{wrong.value!r} {wrong.value.__cause__!r}"
    tokens.close()


def test_every_part_of_a_key_is_a_secret(account):
    secrets = tokens_of(account).secrets
    lines = google_keys.private_key().splitlines()

    assert all(line in secrets for line in lines[1:-2])
    assert orjson.dumps(google_keys.private_key()).decode()[1:-1] in secrets
