"""The fake of Azure is proven with the OpenAI SDK in both address styles, and Entra's with Azure's own."""

import ssl

import openai
import orjson
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from openai.types import FileDeleted, FileObject

from tests.fakes.azure_app import SCOPE, AzureApp, EntraApp
from tests.fakes.provider_app import to_json_lines
from tests.fakes.serving import ServedApp
from tests.support.certificate import self_signed

KEY = "azure-key"
DATED = "2024-10-21"


@pytest.fixture
def fake(request):
    return AzureApp(dated=getattr(request, "param", False), api_key=KEY)


@pytest.fixture
def server(fake):
    with ServedApp(fake) as server:
        yield server


@pytest.fixture
def sdk(server, fake):
    if fake.dated:
        client = openai.AzureOpenAI(azure_endpoint=server.url, api_key=KEY, api_version=DATED, max_retries=0)
    else:
        headers = {"api-key": KEY}
        client = openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=KEY, default_headers=headers, max_retries=0)
    with client:
        yield client


def lines(url):
    said = ("one", "refuse-this")
    bodies = [{"model": "gpt-batch", "messages": [{"role": "user", "content": text}]} for text in said]
    return [{"custom_id": f"r{n}", "method": "POST", "url": url, "body": body} for n, body in enumerate(bodies)]


@pytest.mark.parametrize("fake", [True, False], indirect=True, ids=["dated", "v1"])
def test_a_batch_needs_a_processed_file(fake, sdk):
    url = fake.quirks.endpoints[0]
    raw = sdk.files.with_raw_response.create(file=("in.jsonl", to_json_lines(lines(url))), purpose="batch")
    file = raw.parse()
    asked = {"input_file_id": file.id, "endpoint": url, "completion_window": "24h"}

    assert raw.status_code == 201
    assert file.status == "pending"
    with pytest.raises(openai.BadRequestError, match="not processed"):
        sdk.batches.create(**asked)
    while sdk.files.retrieve(file.id).status != "processed":
        pass
    batch = sdk.batches.create(**asked)
    while batch.status.lower() != "completed":
        batch = sdk.batches.retrieve(batch.id)

    assert orjson.loads(sdk.files.content(batch.output_file_id).read())["custom_id"] == "r0"
    assert orjson.loads(sdk.files.content(batch.error_file_id).read())["custom_id"] == "r1"
    assert [found.id for found in sdk.batches.list(limit=1)] == [batch.id]
    assert file.id in [found.id for found in sdk.files.list(purpose="batch").data]
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(file.id)


def test_files_of_v1_match_the_sdk_types(fake, sdk):
    made = sdk.files.create(file=("a.txt", b"abc"), purpose="user_data")
    sdk.files.retrieve(made.id)
    sdk.files.retrieve(made.id)

    raw = sdk.files.with_raw_response.retrieve(made.id)
    FileObject.model_validate(raw.http_response.json(), strict=True)
    raw = sdk.files.with_raw_response.delete(made.id)
    FileDeleted.model_validate(raw.http_response.json(), strict=True)


def test_v1_has_containers(fake, sdk):
    box = sdk.containers.create(name="box")

    assert sdk.containers.files.create(box.id, file=("a.txt", b"abc")).bytes == 3


@pytest.mark.parametrize("fake", [True], indirect=True)
def test_the_dated_style_shows_times_statuses_and_counts_of_its_own(fake, sdk):
    file = sdk.files.create(file=("in.jsonl", b""), purpose="batch")
    while sdk.files.retrieve(file.id).status != "processed":
        pass
    raw = sdk.batches.with_raw_response.create(
        input_file_id=file.id, endpoint="/chat/completions", completion_window="24h"
    )
    batch = raw.http_response.json()

    assert batch["status"] == "Validating" and batch["request_counts"] is None and "T" in batch["created_at"]
    with pytest.raises(openai.NotFoundError) as refusal:
        sdk.files.retrieve("file-none")
    assert set(refusal.value.body) == {"code", "message"}


@pytest.mark.parametrize("fake", [True], indirect=True)
def test_the_dated_style_runs_lines_at_deployments_and_needs_a_version(fake, sdk, server):
    answer = sdk.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "hi"}])

    assert answer.model == "gpt-x"
    assert server.requests[-1].path == "/openai/deployments/gpt-x/chat/completions"
    with (
        openai.OpenAI(base_url=f"{server.url}/openai", api_key=KEY, max_retries=0) as plain,
        pytest.raises(openai.NotFoundError),
    ):
        plain.files.list()


def test_a_token_opens_it_and_another_does_not(fake, server):
    fake.tokens.add("entra-1")
    for token, opens in (("entra-1", True), ("entra-2", False)):
        with openai.AzureOpenAI(
            base_url=f"{server.url}/openai/v1", azure_ad_token=token, api_version="preview", max_retries=0
        ) as sdk:
            if opens:
                assert sdk.files.list().data == []
            else:
                with pytest.raises(openai.AuthenticationError):
                    sdk.files.list()


def test_entra_gives_tokens_to_its_client_only(tmp_path):
    certificate = self_signed(tmp_path / "entra.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    app = EntraApp(tenant="contoso", client_id="id-1", client_secret="secret-1")
    with ServedApp(app, tls=context) as server:

        def token(secret):
            how = {"disable_instance_discovery": True, "connection_verify": str(certificate)}
            with ClientSecretCredential("contoso", "id-1", secret, authority=server.url, **how) as credential:
                return credential.get_token(SCOPE)

        assert token("secret-1").token in app.given
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            token("other")
