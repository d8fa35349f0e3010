"""Mistral in the contract suite."""

from app.connectors.contract.base import LineCall
from app.connectors.contract.objects import NativeJob
from tests.connectors.contract.specimen import Specimen
from tests.support.native_jobs import CHAT

MODEL = "mistral-small-latest"
CALL = LineCall(CHAT, {"model": "m", "messages": []}, 5)
MESSAGE = {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}
CALLED = {**MESSAGE, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}
ANSWER = {"choices": [{"message": CALLED, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
FILE = {"id": "f", "filename": "x", "bytes": 1, "created_at": 1700000000, "purpose": "batch"}
JOB_OBJECT = {
    "id": "j",
    "status": "FAILED",
    "input_files": ["f"],
    "output_file": "o",
    "error_file": "e",
    "endpoint": CHAT,
    "model": "m",
    "metadata": {"batchgate": "m"},
    "errors": [{"message": "x", "count": 1}],
    "total_requests": 1,
    "succeeded_requests": 1,
    "failed_requests": 0,
    "created_at": 1700000000,
    "started_at": 1700000000,
    "completed_at": 1700000000,
}
ROW = {"id": "r", "custom_id": "a", "response": {"status_code": 200, "body": ANSWER}, "error": None}
WITHIN = (
    "choices",
    "choices.0",
    "choices.0.finish_reason",
    "choices.0.message",
    "choices.0.message.content",
    "choices.0.message.content.0",
    "choices.0.message.content.0.thinking",
    "choices.0.message.content.0.thinking.0.text",
    "choices.0.message.tool_calls",
    "choices.0.message.tool_calls.0",
    "choices.0.message.tool_calls.0.function",
    "choices.0.message.tool_calls.0.function.arguments",
    "usage",
)
ANSWERS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": ({"data": [FILE], "total": 1}, ("data", "data.0", "data.0.id", "total")),
    "retrieve_job": (JOB_OBJECT, (*JOB_OBJECT, "errors.0", "errors.0.message", "input_files.0")),
    "cancel_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "create_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "list_jobs": ({"data": [JOB_OBJECT], "total": 1}, ("data", "data.0", "data.0.id", "total")),
    "results": (
        ROW,
        ("custom_id", "response", "response.status_code", "error", *(f"response.body.{name}" for name in WITHIN)),
    ),
    "list_models": ({"data": [{"id": "m"}]}, ("data", "data.0", "data.0.id")),
    "run_line": (ANSWER, WITHIN),
}


SPECIMEN = Specimen(
    "mistral",
    answers=ANSWERS,
    calls={"run_line": lambda connector: connector.run_line(CALL)},
    empty_object_is_fine=frozenset({"list_files", "list_jobs", "list_models"}),
    job=NativeJob("j", "completed", output_id="out", error_id="err", endpoint=CHAT),
    models=(MODEL,),
    made={"status": "validating", "total": None},
    ended={"endpoint": CHAT, "model": MODEL},
    add_file=lambda app, number: app.add_file(b"", filename=f"{number}", purpose="batch").id,
    many_files=250,
    files_newest_first=False,
)
