"""Vertex in the contract suite. Its files lie in a bucket of Google's, which has tests of its own."""

from app.connectors.contract.base import LineCall
from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.e2e.conformance.farm import key_of
from tests.fakes.vertex_app import BUCKET, LOCATION, NUMBER
from tests.support.native_jobs import CHAT

GEMINI, CLAUDE = "gemini-2.5-flash", "claude-sonnet-4-5"
NAME = f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/17"
HELLO = {"model": GEMINI, "messages": [{"role": "user", "content": "Hello?"}]}
JOB = {
    "name": NAME,
    "displayName": "bg-marker-1",
    "labels": {"batchgate": "bg-marker-1"},
    "model": "publishers/google/models/gemini-2.5-flash",
    "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://a/b"]}},
    "outputInfo": {"gcsOutputDirectory": f"gs://{BUCKET}/gateway/jobs/bg-marker-1/out"},
    "completionStats": {"successfulCount": "1", "failedCount": "2", "incompleteCount": "-1"},
    "error": {"code": 3, "message": "x"},
    "partialFailures": [{"code": 3, "message": "x"}],
    "createTime": "2026-01-02T03:04:05Z",
    "startTime": "2026-01-02T03:04:05.1Z",
    "endTime": "2026-01-02T03:04:06.123456789Z",
    "updateTime": "2026-01-02T03:04:06Z",
}
FIELDS = (
    *JOB,
    "labels.batchgate",
    "inputConfig.gcsSource",
    "inputConfig.gcsSource.uris",
    "outputInfo.gcsOutputDirectory",
    "completionStats.successfulCount",
    "completionStats.incompleteCount",
    "error.code",
    "error.message",
    "partialFailures.0",
)
ANSWERS = {
    "retrieve_job": (JOB, FIELDS),
    "create_job": (JOB, FIELDS),
    "cancel_job": (JOB, FIELDS),
    "list_jobs": (
        {"batchPredictionJobs": [JOB], "nextPageToken": "x"},
        ("batchPredictionJobs", "batchPredictionJobs.0", "batchPredictionJobs.0.name", "nextPageToken"),
    ),
    "find_jobs": ({"batchPredictionJobs": [JOB]}, ("batchPredictionJobs", "batchPredictionJobs.0")),
    "results": ({"items": [{"name": "gateway/jobs/m/out/predictions.jsonl"}]}, ("items", "items.0", "items.0.name")),
    "run_line": (
        {"candidates": [{"content": {"parts": [{"text": "x"}]}}]},
        ("candidates", "candidates.0", "candidates.0.content"),
    ),
}


SPECIMEN = Specimen(
    "vertex",
    answers=ANSWERS,
    calls={"run_line": lambda connector: connector.run_line(LineCall(CHAT, HELLO, 5.0))},
    empty_object_is_fine=frozenset({"list_jobs", "find_jobs", "results"}),
    empty_body_is_fine=frozenset(),
    job_id=NAME,
    file_id=f"gs://{BUCKET}/gateway/a",
    input_id=f"gs://{BUCKET}/gateway/a",
    job=NativeJob(NAME, "completed", endpoint=CHAT, model=GEMINI, output_id=f"gs://{BUCKET}/gateway/jobs/m/out/"),
    models=(GEMINI, CLAUDE),
    cancelling="cancelled",
    made={"status": "validating", "native_status": "JOB_STATE_PENDING"},
    ended={"errors": ()},
    early_deletion=400,
    credential=key_of("vertex"),  # the token itself: the way to it has tests of its own
)
