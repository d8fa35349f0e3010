"""Anthropic in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.support.native_jobs import CHAT

MODEL = "claude-sonnet-4-5"
COUNTS = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
WHEN = "2026-11-01T00:00:00Z"
FILE = {"id": "f", "type": "file", "filename": "x", "size_bytes": 1, "created_at": WHEN, "expires_at": WHEN}
BATCH = {
    "id": "b",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {**COUNTS, "succeeded": 1},
    "created_at": WHEN,
    "expires_at": WHEN,
    "ended_at": WHEN,
    "cancel_initiated_at": WHEN,
}
BATCH_FIELDS = (*BATCH, *(f"request_counts.{name}" for name in COUNTS))
PAGE_FIELDS = ("data", "data.0", "data.0.id", "has_more", "last_id", "next_page")


def page(item):
    return {"data": [item], "has_more": True, "last_id": "x", "next_page": "page_x"}


MESSAGE = {
    "id": "msg_1",
    "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "t", "name": "n", "input": {}}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 0, "output_tokens_details": {}},
}
ROW = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}
ROW_FIELDS = (
    "custom_id",
    "result",
    "result.type",
    "result.message",
    *(f"result.message.{name}" for name in MESSAGE),
    *(f"result.message.content.{n}" for n in ("0", "1", "0.type", "0.text", "1.type", "1.id", "1.name", "1.input")),
    *(f"result.message.usage.{name}" for name in MESSAGE["usage"]),
)
ANSWERS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": (page(FILE), PAGE_FIELDS),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "cancel_job": (BATCH, BATCH_FIELDS),
    "create_job": (BATCH, BATCH_FIELDS),
    "list_jobs": (page(BATCH), PAGE_FIELDS),
    "list_models": (page({"id": "m", "created_at": WHEN}), (*PAGE_FIELDS, "data.0.created_at")),
    "results": (ROW, ROW_FIELDS),
}


SPECIMEN = Specimen(
    "anthropic",
    answers=ANSWERS,
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "list_models"}),
    job=NativeJob("msgbatch_1", "completed", endpoint=CHAT, ended_at=1_700_000_000_000),
    models=(MODEL,),
    made={"status": "in_progress", "native_status": "in_progress", "total": 40},
    ended={"native_status": "ended"},
    lifetime_s=24 * 3600,
    keeps_marker=False,
    add_job=lambda app, number: app.add_job([], endpoint="", model="").id,
    many_jobs=1020,
    early_deletion=400,
    file={"purpose": ""},
    reads_uploads=False,
    add_file=lambda app, number: app.add_file(b"", filename=f"{number}", purpose="").id,
    many_files=1020,
)
