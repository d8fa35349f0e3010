"""Gemini in the contract suite."""

from dataclasses import replace

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import MARKER, Specimen
from tests.support.native_jobs import CHAT

MODEL = "gemini-2.5-flash"
JOB = NativeJob("batches/b1", "completed", endpoint=CHAT)
BY_FILE = replace(JOB, output_id="files/out")
FILE = {
    "name": "files/f",
    "displayName": "x",
    "sizeBytes": "1",
    "createTime": "2026-11-21T12:00:00Z",
    "expirationTime": "2026-11-23T12:00:00Z",
    "state": "ACTIVE",
}
RESULTS = {
    "inlinedResponses": {
        "inlinedResponses": [
            {"metadata": {"key": "1"}, "response": {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}},
            {"metadata": {"key": "2"}, "error": {"code": 3, "message": "No."}},
        ]
    }
}
BATCH = {
    "name": "batches/b",
    "done": True,
    "metadata": {
        "@type": "x",
        "displayName": "x",
        "state": "BATCH_STATE_FAILED",
        "model": "models/m",
        "createTime": "2026-11-21T12:00:00Z",
        "endTime": "2026-11-21T12:00:00Z",
        "batchStats": {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"},
        "inputConfig": {"fileName": "files/f"},
        "output": RESULTS,
    },
    "error": {"code": 3, "message": "x"},
    "response": RESULTS,
}
SOUGHT = {**BATCH, "metadata": {**BATCH["metadata"], "displayName": MARKER}}
IN_METADATA = (*BATCH["metadata"], "batchStats.requestCount", "inputConfig.fileName", "output.inlinedResponses")
BATCH_FIELDS = (*BATCH, *(f"metadata.{name}" for name in IN_METADATA), "error.code", "error.message")
ROWS = "response.inlinedResponses.inlinedResponses"
RESULT_FIELDS = (
    "response.inlinedResponses",
    ROWS,
    f"{ROWS}.0",
    *(f"{ROWS}.0.{name}" for name in ("metadata", "metadata.key", "response", "response.candidates")),
    *(f"{ROWS}.1.{name}" for name in ("error", "error.code", "error.message")),
)
ANSWERS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": ({"files": [FILE], "nextPageToken": "x"}, ("files", "files.0", "files.0.name", "nextPageToken")),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "create_job": (BATCH, BATCH_FIELDS),
    "list_jobs": (
        {"operations": [BATCH], "nextPageToken": "x"},
        ("operations", "operations.0", "operations.0.response", "nextPageToken"),
    ),
    "find_jobs": ({"operations": [SOUGHT], "nextPageToken": "x"}, ("operations", "operations.0.metadata")),
    "results": (BATCH, (*BATCH_FIELDS, *RESULT_FIELDS)),
    "raw_results": (BATCH, RESULT_FIELDS),
    "file_results": ({"key": "a", "response": {"candidates": []}}, ("key", "response", "response.candidates")),
    "embeddings": (BATCH, RESULT_FIELDS),
    "list_models": ({"models": [{"name": "models/m"}]}, ("models", "models.0", "models.0.name")),
}


SPECIMEN = Specimen(
    "gemini",
    answers=ANSWERS,
    calls={
        "file_results": lambda connector: list(connector.results(BY_FILE)),
        "embeddings": lambda connector: list(connector.results(replace(JOB, endpoint="/v1/embeddings"))),
    },
    empty_object_is_fine=frozenset(
        {"list_files", "list_jobs", "find_jobs", "results", "raw_results", "embeddings", "list_models"}
    ),
    empty_body_is_fine=frozenset({"file_results"}),
    file_id="files/f",
    job_id="batches/b",
    job=JOB,
    input_line=b'{"key":"a","request":{}}\n',
    models=(MODEL,),
    cancelling="cancelled",
    settings={
        "both": {"places": ("response", "output")},
        "response": {"places": ("response",)},
        "output": {"places": ("output",)},
    },
    made={"status": "validating", "native_status": "PENDING"},
    ended={"native_status": "SUCCEEDED", "model": MODEL},
    lifetime_s=48 * 3600,
    add_job=lambda app, number: app.add_job([], endpoint=CHAT, model=MODEL, fields={"name": f"marker-{number}"}).id,
    many_jobs=250,
    reads_uploads=False,
    file_lifetime_s=48 * 3600,
    add_file=lambda app, number: app.add_file(b"", filename=f"{number}", purpose="UPLOADED", type="a/b", looks=0).id,
)
