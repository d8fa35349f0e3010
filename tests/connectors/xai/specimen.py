"""xAI in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import MARKER, Specimen
from tests.support.native_jobs import CHAT

MODEL = "grok-4"
FILE = {"id": "f", "filename": "x", "bytes": 1, "created_at": 1700000000, "expires_at": None, "purpose": ""}
BATCH = {
    "batch_id": "b",
    "name": "n",
    "create_time": "2026-01-01T00:00:00Z",
    "expire_time": "2026-01-01T00:00:00Z",
    "cancel_time": None,
    "input_file_id": "f",
    "state": {"num_requests": 1, "num_pending": 1, "num_success": 0, "num_error": 0},
}
ROW = {"batch_request_id": "1", "batch_result": {"response": {"chat_get_completion": {"choices": []}}}}
FILE_FIELDS = ("id", "filename", "bytes", "created_at", "purpose")
BATCH_FIELDS = ("batch_id", "name", "create_time", "expire_time", "cancel_time", "input_file_id", "state")
ANSWERS = {
    "retrieve_file": (FILE, FILE_FIELDS),
    "upload_file": (FILE, FILE_FIELDS),
    "list_files": ({"data": [FILE], "pagination_token": None}, ("data", "data.0", "data.0.id", "pagination_token")),
    "retrieve_job": (BATCH, (*BATCH_FIELDS, "state.num_requests", "state.num_pending")),
    "create_job": (BATCH, BATCH_FIELDS),
    "cancel_job": (BATCH, BATCH_FIELDS),
    "list_jobs": ({"batches": [BATCH], "pagination_token": None}, ("batches", "batches.0", "pagination_token")),
    "find_jobs": ({"batches": [{**BATCH, "name": MARKER}], "pagination_token": None}, ("batches", "batches.0.name")),
    "results": (
        {"results": [ROW], "pagination_token": None},
        ("results", "results.0", "results.0.batch_result", "results.0.batch_result.response", "pagination_token"),
    ),
}


SPECIMEN = Specimen(
    "xai",
    answers=ANSWERS,
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "find_jobs", "results"}),
    empty_body_is_fine=frozenset(),
    file_id="f/1",
    job=NativeJob("batch_1", "completed", endpoint=CHAT),
    models=(MODEL,),
    settings={"pages of 7": {"most_per_page": 7}},
    made={"status": "validating", "output_id": None, "errors": ()},
    tells_end=False,
    lifetime_s=24 * 3600,
    add_job=lambda app, number: (
        app.add_job([], endpoint="", model="", input_id="file_1", fields={"name": f"bg-{number}"}).id
    ),
    file={"purpose": ""},
    file_lifetime_s=3600,
    add_file=lambda app, number: app.add_file(b"", filename=f"{number}", purpose="").id,
    many_files=150,
)
