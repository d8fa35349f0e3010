"""OpenAI in the contract suite, and everybody whose API has the same shapes."""

from dataclasses import replace

from app.connectors.contract.objects import NewContainer
from tests.connectors.contract.specimen import Specimen
from tests.fakes.openai_quirks import RESPONSES
from tests.support.native_jobs import CHAT, payload

WHEN = 1_700_000_000
FILE = {
    "id": "file-1",
    "filename": "in.jsonl",
    "purpose": "batch",
    "bytes": 1,
    "status": "processed",
    "created_at": WHEN,
    "expires_at": WHEN,
}
BATCH = {
    "id": "batch_1",
    "status": "failed",
    "endpoint": CHAT,
    "model": "m",
    "completion_window": "24h",
    "input_file_id": "file-1",
    "output_file_id": "file-2",
    "error_file_id": "file-3",
    "request_counts": {"total": 1, "completed": 0, "failed": 1},
    "metadata": {"batchgate": "bg-1"},
    "errors": {"data": [{"code": "invalid_request", "message": "No.", "line": 1}]},
    "usage": {"input_tokens": 1},
    "created_at": WHEN,
    "in_progress_at": WHEN,
    "failed_at": WHEN,
    "expires_at": WHEN,
}
BATCH_FIELDS = (*BATCH, "request_counts.total", "metadata.batchgate", "errors.data", "errors.data.0.line")
ROW = {"custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": {"choices": []}}, "error": None}
ROW_FIELDS = (*ROW, "response.status_code", "response.body")
CONTAINER = {
    "id": "cntr_1",
    "name": "box",
    "status": "running",
    "expires_after": {"minutes": 20},
    "memory_limit": "1g",
    "created_at": WHEN,
    "last_active_at": WHEN,
}
ENTRY = {"id": "cfile_1", "path": "/mnt/data/a.txt", "source": "user", "bytes": 1, "created_at": WHEN}
DELETED = ({"id": "x", "deleted": True}, ("deleted",))


def page(item):
    """A list of one object that goes on."""
    return {"data": [item], "has_more": True, "last_id": "x"}, ("data", "data.0", "data.0.id", "has_more", "last_id")


ANSWERS = {
    "upload_file": (FILE, tuple(FILE)),
    "retrieve_file": (FILE, tuple(FILE)),
    "list_files": page(FILE),
    "delete_file": DELETED,
    "create_job": (BATCH, BATCH_FIELDS),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "list_jobs": page(BATCH),
    "cancel_job": (BATCH, BATCH_FIELDS),
    "results": (ROW, ROW_FIELDS),
    "check": page(FILE),
}
CONTAINER_ANSWERS = {
    "create_container": (CONTAINER, tuple(CONTAINER)),
    "retrieve_container": (CONTAINER, tuple(CONTAINER)),
    "list_containers": page(CONTAINER),
    "delete_container": DELETED,
    "put_container_file": (ENTRY, tuple(ENTRY)),
    "copy_container_file": (ENTRY, tuple(ENTRY)),
    "list_container_files": page(ENTRY),
    "retrieve_container_file": (ENTRY, tuple(ENTRY)),
    "delete_container_file": DELETED,
}
CONTAINER_CALLS = {
    "create_container": lambda c: c.create_container(NewContainer("box", 20, "1g")),
    "retrieve_container": lambda c: c.retrieve_container("cntr_1"),
    "list_containers": lambda c: c.list_containers(),
    "delete_container": lambda c: c.delete_container("cntr_1"),
    "put_container_file": lambda c: c.put_container_file("cntr_1", "a.txt", payload(b"abc")),
    "copy_container_file": lambda c: c.copy_container_file("cntr_1", "file-1"),
    "list_container_files": lambda c: c.list_container_files("cntr_1"),
    "retrieve_container_file": lambda c: c.retrieve_container_file("cntr_1", "cfile_1"),
    "delete_container_file": lambda c: c.delete_container_file("cntr_1", "cfile_1"),
}
NONSENSE = (
    b"[]",
    b"[1]",
    b'{"id": null}',
    b'{"id": true, "status": "completed", "data": 17, "path": 17}',
    b'{"id": {}, "status": 17, "data": {}, "bytes": "many", "expires_after": 3, "path": 17}',
    b'{"id": -1, "status": "completed", "request_counts": [1], "data": [1, 2], "created_at": [], "path": []}',
    b'{"id": [], "status": "nobody knows", "data": "text", "created_at": "yesterday", "path": {}}',
    b'{"id": "a\\u0000b", "status": "completed", "data": [{"id": "a\\nb"}, {}], "path": ""}',
    b'{"id": "%s", "status": "completed", "data": 1}' % (b"x" * 513),
    b'{"id": "", "status": "", "data": [[], []], "path": ""}',
    b'{"id": ["x"], "status": ["completed"], "data": [null, null], "path": "/a"}',
)
DELETES = ("delete_file", "delete_container", "delete_container_file")


def family(provider, **fields):
    """A provider whose files and batches have OpenAI's shapes."""
    return Specimen(
        provider,
        **{
            "answers": ANSWERS,
            "file_id": "file-1",
            "job_id": "batch_1",
            "input_id": "file-1",
            "empty_object_is_fine": frozenset(DELETES),
            "empty_body_is_fine": frozenset({*DELETES, "results"}),
            "missing_is_fine": frozenset(DELETES),
            "made": {"status": "validating"},
            "ended": {"endpoint": CHAT},
            "add_job": lambda app, number: app.add_job([], endpoint=CHAT, model="", fields={"window": "24h"}).id,
            "many_jobs": 103,
            "rows_at_once": False,
            "add_file": lambda app, number: app.add_file(b"", filename=f"{number}", purpose="batch").id,
            "many_files": 103,
            **fields,
        },
    )


OPENAI = family("openai", answers={**ANSWERS, **CONTAINER_ANSWERS}, calls=CONTAINER_CALLS, nonsense=NONSENSE)
# The others run the same code, so one answer of each call is broken as a whole, and not member by member.
WHOLE = {name: (good, ()) for name, (good, _) in ANSWERS.items()}
FAMILY = (
    OPENAI,
    replace(OPENAI, provider="azure", answers={name: (good, ()) for name, (good, _) in OPENAI.answers.items()}),
    family("groq", answers=WHOLE, pages=False),
    *(family(name, alike=True, answers=WHOLE) for name in ("cerebras", "deepinfra", "nebius", "parasail")),
    family("perplexity", alike=True, answers=WHOLE, endpoint=RESPONSES, ended={"endpoint": RESPONSES}),
)
LINES_ONLY = tuple(Specimen(name) for name in ("huggingface", "local", "ollama", "sgl", "vllm"))
