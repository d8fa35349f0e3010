"""The fake is proven with Fireworks' SDK, and its answers against the SDK's types, no field left over."""

import httpx2 as httpx
import orjson
import pytest
from fireworks import ConflictError, Fireworks, NotFoundError, PermissionDeniedError
from fireworks.types import Account, BatchInferenceJob, Dataset, DatasetUploadResponse

from tests.fakes.fireworks_app import FireworksApp
from tests.fakes.serving import ServedApp

KEY = "fw_right"
MODEL = "accounts/fireworks/models/llama-v3p1-8b-instruct"
# On the wire (contracts: providers, 13), not in the SDK.
UNTYPED = {"expireTime", "systemPrompt", "lifecycle", "waitingOnCapacity"}


@pytest.fixture
def app():
    return FireworksApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with Fireworks(api_key=KEY, account_id="acme", base_url=server.url, max_retries=0) as sdk:
        yield sdk


def strictly(kind, raw, *, untyped=frozenset()):
    """The answer as `kind`, after a look at types and at fields that the SDK does not know.

    64-bit integers are strings here and numbers in the SDK's types, so that they alone are converted.
    """
    fields = raw.json() if isinstance(raw.json(), dict) else {}
    known = {field.alias or name for name, field in kind.model_fields.items()}
    assert set(fields) - known <= untyped
    return kind.model_validate({name: value for name, value in fields.items() if name in known})


def line(number, text):
    body = {"messages": [{"role": "user", "content": text}]}
    return orjson.dumps({"custom_id": f"line-{number}", "body": body}) + b"\n"


def dataset(sdk, data, *, name="input-1"):
    made = sdk.datasets.with_raw_response.create(dataset_id=name, dataset={"user_uploaded": {}, "example_count": "2"})
    assert strictly(Dataset, made).state == "UPLOADING"
    sent = sdk.datasets.with_raw_response.upload(name, file=("in.jsonl", data))
    told = strictly(DatasetUploadResponse, sent)
    assert (told.bytes, told.purpose, told.object) == (len(data), "dataset", "file")
    return strictly(Dataset, sdk.datasets.with_raw_response.get(name))


def job(sdk, data, *, slug="job-1"):
    source = dataset(sdk, data, name=f"{slug}-input")
    return sdk.batch_inference_jobs.with_raw_response.create(
        batch_inference_job_id=slug, model=MODEL, input_dataset_id=source.name, display_name="mine"
    )


def test_accounts_match_the_sdk_type(sdk, server):
    page = sdk.accounts.list()

    assert [account.name for account in page.accounts] == ["accounts/acme"]
    raw = httpx.get(f"{server.url}/v1/accounts", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert Account.model_validate(raw["accounts"][0], strict=True).state == "READY"


def test_a_dataset_is_made_filled_read_and_deleted(sdk):
    data = line(1, "one") + line(2, "two")
    made = dataset(sdk, data)

    urls = sdk.datasets.get_download_endpoint("input-1").filename_to_signed_urls

    assert (made.name, made.state, made.example_count) == ("accounts/acme/datasets/input-1", "READY", "2")
    assert list(urls) == ["dataset/input-1/in.jsonl"]
    assert httpx.get(urls["dataset/input-1/in.jsonl"]).content == data
    sdk.datasets.delete("input-1")
    with pytest.raises(NotFoundError) as missing:
        sdk.datasets.get("input-1")
    assert missing.value.response.json()["code"] == 5


def test_a_dataset_may_take_time_to_be_ready(app, sdk):
    app.looks_until_ready = 1

    assert dataset(sdk, line(1, "one")).state == "UPLOADING"
    assert sdk.datasets.get("input-1").state == "READY"


def test_datasets_page_by_token(sdk):
    for number in range(5):
        sdk.datasets.create(dataset_id=f"d-{number}", dataset={"user_uploaded": {}, "example_count": "1"})

    assert [found.name[-3:] for found in sdk.datasets.list(page_size=2)] == ["d-4", "d-3", "d-2", "d-1", "d-0"]


def test_a_job_runs_and_its_results_are_two_files(sdk):
    made = strictly(BatchInferenceJob, job(sdk, line(1, "one") + line(2, "refuse-this")), untyped=UNTYPED)
    seen = [
        strictly(BatchInferenceJob, sdk.batch_inference_jobs.with_raw_response.get("job-1"), untyped=UNTYPED)
        for _ in range(2)
    ]

    assert made.name == "accounts/acme/batchInferenceJobs/job-1"
    assert (made.state, made.job_progress, made.display_name) == ("JOB_STATE_VALIDATING", None, "mine")
    assert [found.state for found in seen] == ["JOB_STATE_RUNNING", "JOB_STATE_COMPLETED"]
    progress = seen[1].job_progress
    assert (progress.successfully_processed_requests, progress.failed_requests) == (1, 1)
    urls = sdk.datasets.get_download_endpoint("job-1-output").filename_to_signed_urls
    good, bad = (orjson.loads(httpx.get(url).content) for url in urls.values())
    assert list(urls) == ["dataset/job-1-output/BIJOutputSet.jsonl", "dataset/job-1-output/error-data"]
    assert good["custom_id"] == "line-1" and good["response"]["object"] == "chat.completion"
    assert bad["error"]["message"] == "The prompt was refused."
    assert [found.name for found in sdk.batch_inference_jobs.list()] == [made.name]


def test_a_job_that_is_deleted_is_gone_after_a_while(app, sdk):
    app.looks_to_end = None
    job(sdk, line(1, "one"))

    sdk.batch_inference_jobs.delete("job-1")

    assert sdk.batch_inference_jobs.get("job-1").state == "JOB_STATE_DELETING_CLEANING_UP"
    with pytest.raises(NotFoundError):
        sdk.batch_inference_jobs.get("job-1")


def test_an_id_that_is_taken_is_a_409(sdk):
    job(sdk, line(1, "one"))

    with pytest.raises(ConflictError):
        sdk.batch_inference_jobs.create(
            batch_inference_job_id="job-1", model=MODEL, input_dataset_id="accounts/acme/datasets/job-1-input"
        )


def test_a_wrong_key_is_a_403_in_a_shape_of_its_own(server):
    with (
        Fireworks(api_key="wrong", account_id="acme", base_url=server.url, max_retries=0) as sdk,
        pytest.raises(PermissionDeniedError) as refused,
    ):
        sdk.datasets.list()

    assert refused.value.response.json()["error"]["code"] == "UNAUTHORIZED"
