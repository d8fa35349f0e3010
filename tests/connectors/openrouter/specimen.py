"""OpenRouter in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.support.native_jobs import CHAT

MODEL = "openai/gpt-5-mini"
FILE = {"id": "f", "filename": "x", "bytes": 1, "size_bytes": 1, "created_at": 1700000000, "purpose": "user_data"}
FILE_FIELDS = ("id", "filename", "bytes", "size_bytes", "created_at", "purpose")
BATCH = {
    "id": "b",
    "status": "in_progress",
    "endpoint": CHAT,
    "model": "m",
    "completion_window": "24h",
    "created_at": 1700000000,
    "finalized_at": None,
    "expires_at": 1700000000,
    "request_counts": {"total": 1, "completed": 0, "failed": 0},
    "error": {"message": "x"},
    "usage": {"prompt_tokens": 1},
    "results": [
        {"id": "r", "custom_id": "1", "error": None, "response": {"status_code": 200, "body": {"choices": [{}]}}}
    ],
}
BATCH_FIELDS = (*BATCH, "request_counts.total", "error.message", "results.0", "results.0.response", "results.0.error")
ENTRY = {"id": "f", "path": "/a", "source": "assistant", "bytes": 1, "created_at": 1700000000}
PAGE_FIELDS = ("data", "data.0", "data.0.id", "has_more", "last_id")


def page(item):
    return {"data": [item], "has_more": True, "last_id": "x"}


ANSWERS = {
    "retrieve_file": (FILE, FILE_FIELDS),
    "upload_file": (FILE, FILE_FIELDS),
    "list_files": (page(FILE), PAGE_FIELDS),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "create_job": (BATCH, BATCH_FIELDS),
    "list_jobs": (page({**BATCH, "results": None}), PAGE_FIELDS),
    "results": (
        BATCH,
        (*BATCH_FIELDS, "results.0.custom_id", "results.0.response.body", "results.0.response.body.choices"),
    ),
    "list_container_files": (page(ENTRY), PAGE_FIELDS),
    "retrieve_container_file": (ENTRY, tuple(ENTRY)),
}


SPECIMEN = Specimen(
    "openrouter",
    answers=ANSWERS,
    calls={
        "list_container_files": lambda connector: connector.list_container_files("c"),
        "retrieve_container_file": lambda connector: connector.retrieve_container_file("c", "f"),
    },
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "results", "list_container_files"}),
    empty_body_is_fine=frozenset(),
    job=NativeJob("batch_1", "completed", endpoint=CHAT),
    models=(MODEL,),
    made={"status": "validating", "total": 40},
    ended={"endpoint": CHAT, "model": MODEL, "window": "24h"},
    keeps_marker=False,
    add_job=lambda app, number: app.add_job([], endpoint=CHAT, model=MODEL).id,
    early_deletion=409,
    file={"purpose": ""},
    reads_uploads=False,
    add_file=lambda app, number: app.add_file(b"", filename=f"{number}", purpose="").id,
    files_newest_first=False,
)
