"""Together in the contract suite."""

from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.support.native_jobs import CHAT

MODEL = "meta-llama/Llama-3"
# A bare list is right there, though not one of numbers.
MODELS = [{"id": "m", "object": "model"}]
FILE = {"id": "f", "filename": "x", "bytes": 1, "created_at": 1700000000, "purpose": "batch-api"}
JOB_OBJECT = {
    "id": "j",
    "status": "COMPLETED",
    "input_file_id": "f",
    "output_file_id": "o",
    "error_file_id": "e",
    "endpoint": CHAT,
    "model_id": "m",
    "error": "x",
    "created_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:00:00Z",
    "job_deadline": "2026-01-01T00:00:00Z",
}
ROW = {"id": "r", "custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}, "error": None}
ANSWERS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": ({"data": [FILE]}, ("data", "data.0", "data.0.id")),
    "retrieve_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "cancel_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "create_job": ({"job": JOB_OBJECT}, ("job", "job.id", "job.status")),
    "list_jobs": ([JOB_OBJECT], ("0", "0.id")),
    "list_models": (MODELS, ("0", "0.id")),
    "results": (ROW, ("custom_id", "response", "response.status_code", "response.body", "error")),
}


SPECIMEN = Specimen(
    "together",
    answers=ANSWERS,
    job=NativeJob("j", "completed", output_id="out", error_id="err", endpoint=CHAT),
    models=(MODEL,),
    made={"status": "validating", "total": None},
    ended={"endpoint": CHAT, "model": MODEL},
    counts=False,
    keeps_marker=False,
)
