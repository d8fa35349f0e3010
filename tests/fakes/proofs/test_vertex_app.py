"""The fake is proven with Google's and Anthropic's SDKs, tokens and storage included, and answers strictly typed."""

import itertools

import google.auth.transport.requests
import orjson
import pytest
from anthropic import AnthropicVertex
from google import genai
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import NotFound
from google.cloud import storage
from google.genai import errors, types
from google.oauth2 import service_account

from tests.fakes import google_keys
from tests.fakes.gcs_app import Remote
from tests.fakes.serving import ServedApp
from tests.fakes.vertex_app import BUCKET, LOCATION, NUMBER, PROJECT, VertexApp
from tests.support.gcs import make_bucket

TOKEN = "ya29.right-and-long-enough"
MODEL = "gemini-2.5-flash"
CLAUDE = "publishers/anthropic/models/claude-sonnet-4-5"
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello?"}]}]}


@pytest.fixture
def app():
    return VertexApp(api_key=TOKEN)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def credentials(server):
    info = orjson.loads(google_keys.service_account(f"{server.url}/token"))
    return service_account.Credentials.from_service_account_info(info, scopes=[google_keys.SCOPE])


@pytest.fixture
def sdk(server, credentials):
    options = types.HttpOptions(base_url=server.url, timeout=10_000)
    with genai.Client(
        vertexai=True, project=PROJECT, location=LOCATION, credentials=credentials, http_options=options
    ) as sdk:
        yield sdk


@pytest.fixture(params=["own", "fake-gcs-server"])
def bucket(request, app, server, credentials):
    """A bucket by Google's own library: of the fake, and of a server that is not ours."""
    url = server.url
    if request.param != "own":
        url = request.getfixturevalue("gcs_server")
        make_bucket(url, BUCKET)
        app.store = Remote(url)
    client = storage.Client(PROJECT, credentials=credentials, client_options=ClientOptions(api_endpoint=url))
    yield client.bucket(BUCKET)
    client.close()


def put(bucket, name, *lines):
    bucket.blob(name).upload_from_string(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return f"gs://{BUCKET}/{name}"


def started(sdk, source, *, model=MODEL, name="night"):
    return sdk.batches.create(model=model, src=source, config={"display_name": name, "dest": f"gs://{BUCKET}/out/"})


def ended(sdk, job):
    for _ in range(4):
        job = sdk.batches.get(name=job.name)
    return job


def rows(bucket, job):
    folder = job.output_info.gcs_output_directory.removeprefix(f"gs://{BUCKET}/")
    blobs = list(bucket.client.list_blobs(BUCKET, prefix=f"{folder}/"))
    return len(blobs), [orjson.loads(line) for blob in blobs for line in blob.download_as_bytes().splitlines()]


def refused(call):
    with pytest.raises(errors.ClientError) as caught:
        call()
    return caught.value.code, caught.value.status


def test_tokens_are_given_for_what_the_account_signed(app, credentials):
    transport = google.auth.transport.requests.Request()
    credentials.refresh(transport)

    assert credentials.token == TOKEN and credentials.valid
    other = google_keys.rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(
        google_keys.serialization.Encoding.PEM,
        google_keys.serialization.PrivateFormat.PKCS8,
        google_keys.serialization.NoEncryption(),
    )
    info = orjson.loads(google_keys.service_account(credentials._token_uri, private_key=pem.decode()))
    wrong = service_account.Credentials.from_service_account_info(info, scopes=[google_keys.SCOPE])
    with pytest.raises(google.auth.exceptions.RefreshError, match="Invalid JWT Signature"):
        wrong.refresh(transport)


def test_objects_come_and_go(bucket):
    small, big = bucket.blob("a/small é.txt"), bucket.blob("a/big.bin", chunk_size=256 * 1024)
    small.metadata = {"purpose": "batch"}
    small.upload_from_string(b"hello")
    big.upload_from_string(b"0123456789" * 100_000)

    assert [blob.name for blob in bucket.client.list_blobs(BUCKET, prefix="a/")] == ["a/big.bin", "a/small é.txt"]
    got = bucket.get_blob("a/small é.txt")
    assert (got.size, got.metadata, got.download_as_bytes()) == (5, {"purpose": "batch"}, b"hello")
    assert bucket.get_blob("a/big.bin").size == 1_000_000
    assert bucket.blob("a/big.bin").download_as_bytes() == b"0123456789" * 100_000
    small.delete()
    big.delete()
    assert bucket.get_blob("a/big.bin") is None
    with pytest.raises(NotFound):
        small.delete()


def test_objects_are_listed_page_by_page(app, server, credentials):
    app.gcs.page = 2
    for number in range(5):
        app.memory.put(BUCKET, f"x/{number}", b"")
    options = ClientOptions(api_endpoint=server.url)
    client = storage.Client(PROJECT, credentials=credentials, client_options=options)

    assert [blob.name for blob in client.list_blobs(BUCKET, prefix="x/")] == [f"x/{number}" for number in range(5)]
    client.close()


def test_a_job_of_chats(sdk, bucket):
    lines = [{"request": {**HELLO, "labels": {"line": f"l-{n}"}}} for n in range(40)]
    lines.append({"request": {"contents": [{"role": "user", "parts": [{"text": "refuse-this"}]}]}})
    job = started(sdk, put(bucket, "in/chats.jsonl", *lines))

    assert job.name.startswith(f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/")
    assert (job.state, job.display_name) == (types.JobState.JOB_STATE_PENDING, "night")
    assert job.model == f"publishers/google/models/{MODEL}"
    assert (job.src.format, job.src.gcs_uri) == ("jsonl", [f"gs://{BUCKET}/in/chats.jsonl"])
    over = ended(sdk, job)
    assert over.state == types.JobState.JOB_STATE_SUCCEEDED and over.end_time >= over.start_time
    stats = over.completion_stats
    assert (stats.successful_count, stats.failed_count, stats.incomplete_count) == (40, 1, None)
    parts, found = rows(bucket, over)
    assert parts == 2
    fine = [row for row in found if row["status"] == ""]
    assert sorted(row["request"]["labels"]["line"] for row in fine) == sorted(f"l-{n}" for n in range(40))
    for row in fine:
        said = types.GenerateContentResponse.model_validate(row["response"])
        assert "you said: Hello?" in said.text
    [wrong] = [row for row in found if row["status"] != ""]
    assert "INVALID_ARGUMENT" in wrong["status"] and wrong["response"] == {}


def test_a_job_of_claude(sdk, bucket):
    asked = {"messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 9}
    asked = {"anthropic_version": "vertex-2023-10-16", **asked}
    lines = [
        {"custom_id": "a", "request": asked},
        {"custom_id": "b", "request": {**asked, "model": "claude"}},
        {"custom_id": "c", "request": {**asked, "anthropic_version": "x"}},
    ]
    over = ended(sdk, started(sdk, put(bucket, "in/claude.jsonl", *lines), model=CLAUDE))

    found = {row["custom_id"]: row for row in rows(bucket, over)[1]}
    assert found["a"]["response"]["content"][0]["text"].endswith("you said: Hello?")
    assert [orjson.loads(found[name]["status"])["code"] for name in "bc"] == [400, 400]


def test_a_job_of_texts(sdk, bucket):
    text = {"content": {"parts": [{"text": "hello"}]}, "output_dimensionality": 8, "task_type": "CLUSTERING"}
    over = ended(
        sdk, started(sdk, put(bucket, "in/t.jsonl", {"key": "k#0/1", "request": text}), model="gemini-embedding-001")
    )

    [row] = rows(bucket, over)[1]
    assert (row["key"], row["status"], len(row["response"]["embedding"]["values"])) == ("k#0/1", "", 8)


def test_jobs_are_listed_cancelled_and_deleted(app, sdk, bucket):
    app.looks_to_end, app.page = None, 2
    source = put(bucket, "in/l.jsonl", {"request": HELLO})
    made = [started(sdk, source, name=f"n{n}") for n in range(5)]

    listed = sdk.batches.list(config={"page_size": 2})
    assert [job.display_name for job in itertools.islice(listed, 9)] == ["n4", "n3", "n2", "n1", "n0"]
    assert refused(lambda: sdk.batches.delete(name=made[0].name)) == (400, "FAILED_PRECONDITION")
    sdk.batches.cancel(name=made[0].name)
    assert sdk.batches.get(name=made[0].name).state == types.JobState.JOB_STATE_CANCELLED
    assert refused(lambda: sdk.batches.cancel(name=made[0].name)) == (400, "FAILED_PRECONDITION")
    assert sdk.batches.delete(name=made[0].name).done is True
    assert refused(lambda: sdk.batches.get(name=made[0].name)) == (404, "NOT_FOUND")


def test_jobs_are_found_by_their_labels(app, sdk, bucket):
    app.looks_to_end = None
    source = put(bucket, "in/l.jsonl", {"request": HELLO})
    made = started(sdk, source)
    app.job(made.name.rpartition("/")[2]).fields["asked"]["labels"] = {"batchgate": "m-1"}
    started(sdk, source)

    found = sdk.batches.list(config={"filter": 'labels.batchgate="m-1"'})
    assert [job.name for job in found] == [made.name]


@pytest.mark.parametrize(
    ("lines", "code"), [(None, 5), ([], 3), (["x"], 3)], ids=["no input", "no lines", "lines that are none"]
)
def test_a_job_fails_as_a_whole(sdk, bucket, lines, code):
    source = f"gs://{BUCKET}/nowhere" if lines is None else put(bucket, "in/bad.jsonl", *lines)
    failed = sdk.batches.get(name=started(sdk, source).name)

    assert (failed.state, failed.error.code) == (types.JobState.JOB_STATE_FAILED, code)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"batchgate": "Upper"}},
        {"nonsense": 1},
        {"displayName": ""},
        {"model": "gemini"},
        {"inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["s3://a/b"]}}},
    ],
    ids=str,
)
def test_what_makes_no_job_is_refused(server, change):
    body = {
        "displayName": "n",
        "model": f"publishers/google/models/{MODEL}",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"gs://{BUCKET}/a"]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/o"}},
    }
    url = f"{server.url}/v1/projects/{PROJECT}/locations/{LOCATION}/batchPredictionJobs"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    post = google.auth.transport.requests.requests.post

    assert post(url, json=body, headers=headers, timeout=5).status_code == 200
    answer = post(url, json=body | change, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert post(url, json=body, timeout=5).json()["error"]["status"] == "UNAUTHENTICATED"


def test_single_calls(server, sdk, credentials):
    assert sdk.models.generate_content(model=MODEL, contents="Hello?").text.endswith("you said: Hello?")
    for model in ("gemini-embedding-001", "text-embedding-005"):
        one = sdk.models.embed_content(model=model, contents="x", config={"task_type": "CLUSTERING"})
        two = sdk.models.embed_content(model=model, contents=["x", "y"], config={"output_dimensionality": 8})
        assert one.embeddings[0].values == two.embeddings[0].values and len(two.embeddings) == 2
    claude = AnthropicVertex(
        base_url=f"{server.url}/v1", project_id=PROJECT, region=LOCATION, credentials=credentials, max_retries=0
    )
    said = claude.messages.create(
        model="claude-sonnet-4-5@20250929", max_tokens=50, messages=[{"role": "user", "content": "Hello?"}]
    )
    claude.close()
    assert said.content[0].text.endswith("you said: Hello?")
