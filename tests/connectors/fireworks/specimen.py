"""Fireworks in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.support.native_jobs import CHAT

MODEL = "accounts/fireworks/models/llama-v3p1-8b-instruct"
DATASET = "accounts/acme/datasets/d"
FILE = {
    "name": DATASET,
    "displayName": "x",
    "state": "READY",
    "status": {"code": "OK"},
    "createTime": "2026-01-01T00:00:00Z",
}
FILE_FIELDS = (*FILE, "status.code")
NATIVE = {
    "name": "accounts/acme/batchInferenceJobs/j",
    "state": "JOB_STATE_RUNNING",
    "displayName": "m",
    "status": {"code": "FAILED", "message": "x"},
    "createTime": "2026-01-01T00:00:00Z",
    "expireTime": "2026-01-01T00:00:00Z",
    "model": "m",
    "inputDatasetId": DATASET,
    "outputDatasetId": DATASET,
    "jobProgress": {"totalInputRequests": 1, "inputTokens": "1", "outputTokens": "1"},
    "lifecycle": {"endTime": "2026-01-01T00:00:00Z"},
}
NATIVE_FIELDS = (*NATIVE, "status.message", "jobProgress.totalInputRequests", "jobProgress.inputTokens")
URLS = {"filenameToSignedUrls": {"dataset/d/x": "http://127.0.0.1:1/x"}}
URL_FIELDS = ("filenameToSignedUrls", "filenameToSignedUrls.dataset/d/x")
ANSWERS = {
    "retrieve_file": (FILE, FILE_FIELDS),
    "upload_file": (FILE, FILE_FIELDS),
    "list_files": ({"datasets": [FILE], "nextPageToken": "x"}, ("datasets", "datasets.0", "nextPageToken")),
    "read_file": (URLS, URL_FIELDS),
    "retrieve_job": (NATIVE, NATIVE_FIELDS),
    "create_job": (NATIVE, NATIVE_FIELDS),
    "cancel_job": (NATIVE, NATIVE_FIELDS),
    "find_jobs": (NATIVE, NATIVE_FIELDS),
    "list_jobs": ({"batchInferenceJobs": [NATIVE]}, ("batchInferenceJobs", "batchInferenceJobs.0")),
    "results": (URLS, URL_FIELDS),
}


SPECIMEN = Specimen(
    "fireworks",
    answers=ANSWERS,
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "results"}),
    empty_body_is_fine=frozenset(),
    missing_is_fine=frozenset({"find_jobs"}),
    rows_by_url=True,
    job=NativeJob("job-1", "completed", output_id=DATASET, endpoint=CHAT),
    models=(MODEL,),
    settings={form: {"error_rows": form} for form in ("object", "text", "nested")},
    made={"status": "validating", "output_id": None},
    ended={"model": MODEL},
    lifetime_s=24 * 3600,
    add_job=lambda app, number: (
        app.add_job([], endpoint=CHAT, model=MODEL, job_id=f"j-{number}", fields={"displayName": ""}).id
    ),
    many_jobs=250,
    keeps_cancelled=False,
    filename="in.jsonl",
    add_file=lambda app, number: app.add_file(b"", filename="", purpose="", file_id=f"d-{number}").id,
    many_files=250,
    options={"account_id": "acme"},
    key_status=403,
)
