"""Cohere in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import MARKER, Specimen
from tests.support.native_jobs import CHAT

MODEL = "command-a-03-2025"
PART = {"id": "p", "name": "p", "url": "http://127.0.0.1:1/x", "index": 0}
DATASET = {
    "id": "f",
    "name": "x",
    "created_at": "2026-01-02T03:04:05.678Z",
    "dataset_type": "batch-chat-v2-input",
    "validation_status": "validated",
    "dataset_parts": [PART],
}
DATASET_FIELDS = tuple(f"dataset.{name}" for name in (*DATASET, "dataset_parts.0", "dataset_parts.0.url"))
BATCH = {
    "id": "b",
    "name": "m",
    "status": "BATCH_STATUS_IN_PROGRESS",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
    "input_dataset_id": "f",
    "output_dataset_id": "g",
    "input_tokens": "7",
    "output_tokens": "8",
    "model": "m",
    "num_records": 1,
    "num_successful_records": 1,
    "num_failed_records": 0,
    "status_reason": "",
}
BATCH_FIELDS = ("batch", *(f"batch.{name}" for name in BATCH))
ANSWERS = {
    "retrieve_file": ({"dataset": DATASET}, ("dataset", *DATASET_FIELDS)),
    "read_file": ({"dataset": DATASET}, DATASET_FIELDS),
    "results": ({"dataset": DATASET}, ("dataset", *DATASET_FIELDS)),
    "upload_file": ({"id": "f"}, ("id",)),
    "list_files": ({"datasets": [DATASET]}, ("datasets", "datasets.0", "datasets.0.id", "datasets.0.created_at")),
    "retrieve_job": ({"batch": BATCH}, BATCH_FIELDS),
    "create_job": ({"batch": BATCH}, BATCH_FIELDS),
    "cancel_job": ({"batch": BATCH}, BATCH_FIELDS),
    "list_jobs": ({"batches": [BATCH], "next_page_token": "x"}, ("batches", "batches.0", "next_page_token")),
    "find_jobs": (
        {"batches": [{**BATCH, "name": MARKER}], "next_page_token": ""},
        ("batches", "batches.0", "next_page_token"),
    ),
    "list_models": ({"models": [{"name": "x"}]}, ("models", "models.0", "models.0.name")),
}


SPECIMEN = Specimen(
    "cohere",
    answers=ANSWERS,
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "find_jobs", "list_models"}),
    empty_body_is_fine=frozenset(),
    rows_by_url=True,
    job=NativeJob("batch-1", "completed", output_id="dataset-1", endpoint=CHAT),
    models=(MODEL,),
    cancelling="cancelled",
    settings={
        f"{bodies}-{form}-{codec}": {"bodies": bodies, "form": form, "codec": codec, "part_rows": 15}
        for bodies in ("record", "json")
        for form, codec in (("avro", "deflate"), ("avro", "null"), ("jsonl", ""))
    },
    rows_path="/0",
    cut_at=900,
    made={"status": "validating", "total": None, "output_id": None},
    ended={"model": MODEL, "window": "24h", "errors": ()},
    add_job=lambda app, number: app.add_job([], endpoint=CHAT, model=MODEL, fields={"name": f"{number}"}).id,
    many_jobs=1200,
    jobs_newest_first=False,
    file_lifetime_s=30 * 24 * 3600,
    add_file=lambda app, number: app.add_dataset(b"", name=f"{number}", kind="batch-chat-v2-input").id,
)
