"""Credentials of AWS: from JSON, from botocore's chain, for a role, as a key of Bedrock; and what they sign."""

import json
from urllib.parse import parse_qs

import pytest
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict

from app.connectors.cloud.aws import Keys, SigV4
from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamError, UpstreamServerError
from tests.fakes.serving import ServedApp

HEADERS = {"Host": "h.test", "X-Amz-Meta-A": "b", "User-Agent": "u"}
GIVEN = {"access_key_id": "AKIA1", "secret_access_key": "canary-secret"}
ROLE = "arn:aws:iam::123456789012:role/caller"


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch, tmp_path):
    """No credentials of the machine, and none of its metadata service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def keys(**more):
    return Keys(json.dumps({**GIVEN, **more}), region="eu-west-1")


def signature(keys, service):
    """The headers that a signature adds to a call."""
    call = PreparedRequest()
    call.method, call.url, call.body = "PUT", "https://h.test/a/b?x=1", b"{}"
    call.headers = CaseInsensitiveDict(HEADERS)
    signed = SigV4(keys, service)(call)
    return {name: value for name, value in signed.headers.items() if name not in HEADERS}


@pytest.mark.parametrize("service", ["s3", "bedrock"])
def test_what_is_signed_is_what_servers_need_and_nothing_that_proxies_change(service):
    told = signature(keys(session_token="canary-token"), service)

    assert f"/eu-west-1/{service}/aws4_request" in told["Authorization"]
    signed = "host;x-amz-content-sha256;x-amz-date;" if service == "s3" else "host;x-amz-date;"
    assert f"SignedHeaders={signed}x-amz-meta-a;x-amz-security-token," in told["Authorization"]
    assert told["X-Amz-Security-Token"] == "canary-token"
    assert ("X-Amz-Content-SHA256" in told) is (service == "s3")
    assert not {"Host", "X-Amz-Meta-A"} & set(told)


def test_secrets_are_known_to_whoever_hides_them():
    found = keys(session_token="canary-token", external_id="canary-id")
    signature(found, "s3")

    assert {"canary-secret", "canary-token", "canary-id"} <= set(found.secrets)


def test_default_is_what_botocore_finds(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-environment")
    found = Keys("default", region="eu-west-1")

    assert "Credential=AKIA2/" in signature(found, "bedrock")["Authorization"]
    assert "canary-of-the-environment" in found.secrets


@pytest.mark.parametrize("credential", ["default", "a-key-of-bedrock"])
def test_without_credentials_nothing_is_sent_and_it_is_told_why(credential):
    with pytest.raises(RefusedError) as refused:
        signature(Keys(credential, region="eu-west-1"), "s3")

    assert (refused.value.status, refused.value.code, refused.value.sent) == (401, "no_credentials", False)
    assert "API key of Bedrock opens no bucket" in refused.value.message


def test_a_word_is_a_key_of_bedrock():
    assert Keys("a-key-of-bedrock", region="eu-west-1").api_key == "a-key-of-bedrock"
    assert keys(api_key="both").api_key == "both"
    assert keys().api_key == Keys("default", region="eu-west-1").api_key == ""


@pytest.mark.parametrize("credential", ['{"access_key_id": "A"}', '{"secret_access_key": "A"}', "{nonsense"])
def test_half_a_credential_is_none(credential):
    with pytest.raises(ConfigurationError):
        Keys(credential, region="eu-west-1")


class Sts:
    """Gives keys for a role, another pair each time; or refuses."""

    def __init__(self):
        self.asked = []
        self.status = "200 OK"

    def __call__(self, environ, start_response):
        form = parse_qs(environ["wsgi.input"].read().decode())
        self.asked.append({name: value[0] for name, value in form.items()})
        start_response(self.status, [("Content-Type", "text/xml")])
        if not self.status.startswith("200"):
            error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not you.</Message></Error>"
            return [f"<ErrorResponse>{error}</ErrorResponse>".encode()]
        number = len(self.asked)
        pair = f"<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>canary-{number}</SecretAccessKey>"
        more = f"<SessionToken>token-{number}</SessionToken><Expiration>2020-01-01T00:00:00Z</Expiration>"
        if number > 1:
            more = more.replace("2020", "2099")
        found = f"<AssumeRoleResult><Credentials>{pair}{more}</Credentials></AssumeRoleResult>"
        return [f"<AssumeRoleResponse>{found}</AssumeRoleResponse>".encode()]


@pytest.fixture
def sts(monkeypatch):
    with ServedApp(Sts()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield server


def test_a_role_is_assumed_and_its_keys_kept_while_they_are_good(sts):
    role = keys(assume_role_arn=ROLE, external_id="x-1")
    sts.app.asked.append({})  # the next keys are good for long
    first, second = signature(role, "s3"), signature(role, "s3")

    assert first["X-Amz-Security-Token"] == second["X-Amz-Security-Token"] == "token-2"
    [asked] = sts.app.asked[1:]
    assert (asked["RoleArn"], asked["ExternalId"], asked["Action"]) == (ROLE, "x-1", "AssumeRole")


def test_a_role_that_is_not_given_is_refused_in_the_words_of_sts(sts):
    sts.app.status = "403 Forbidden"
    with pytest.raises(RefusedError) as refused:
        signature(keys(assume_role_arn=ROLE), "s3")

    assert (refused.value.status, refused.value.code, refused.value.sent) == (403, "AccessDenied", False)
    assert "Not you." in refused.value.message


def test_an_sts_that_is_not_there_is_a_fault_of_the_provider(sts, monkeypatch):
    sts.stop()
    with pytest.raises(UpstreamError) as wrong:
        signature(keys(assume_role_arn=ROLE), "s3")

    assert isinstance(wrong.value, UpstreamServerError) and not wrong.value.sent
