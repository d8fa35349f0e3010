"""In what each provider of OpenAI's shapes differs (contracts: providers, 2, 3, 10, 14, 16 to 19)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
OPENAI_ENDPOINTS = (
    *(CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES),
    *("/v1/moderations", "/v1/images/generations", "/v1/images/edits", "/v1/videos"),
)
OPENAI_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
DAY_S = 24 * 3600


@dataclass(frozen=True)
class Quirks:
    """`file_expiry`: how upload fields of an expiry are named: brackets, dotted, ignored (no such field), refused.

    `errors`: the envelope: openai, detail (FastAPI's), azure. `first_line` is what the first line is called in a
    job's errors. `chat_path` is the whole path of chats, where they lie elsewhere. `looks_until_processed` is how often
    a new file must be looked at before a job can use it.
    """

    prefix: str = "/v1"
    lines_prefix: str = ""
    chat_path: str = ""
    auth_header: str = "Authorization"
    containers: bool = False
    pages: bool = True
    purposes: tuple[str, ...] = ("batch",)
    endpoints: tuple[str, ...] = (CHAT, EMBEDDINGS)
    windows: tuple[str, ...] = ("24h",)
    file_status: bool = True
    file_expiry: str = "brackets"
    file_days: int | None = 30
    file_id: str = "file-"
    upload_status: int = 200
    looks_until_processed: int = 0
    checks_lines: bool = False
    single_model: bool = True
    metadata: bool = True
    usage: bool = True
    errors: str = "openai"
    counts_at_once: bool = True
    deepinfra_rows: bool = False
    empty_error_file: bool = False
    first_line: int = 1
    codes: Mapping[str, str] = field(default_factory=dict)
    iso_times: bool = False
    capital_statuses: bool = False
    cancel_over: int = 409
    expires: bool = True


AZURE_CODES = {
    "mismatched_model": "model_mismatch",
    "invalid_url": "url_mismatch",
    "maximum_requests_exceeded": "too_many_tasks",
}
OPENAI = Quirks(containers=True, purposes=OPENAI_PURPOSES, endpoints=OPENAI_ENDPOINTS)
AZURE_V1 = Quirks(
    prefix="/openai/v1",
    auth_header="api-key",
    containers=True,
    purposes=OPENAI_PURPOSES,
    endpoints=(CHAT, RESPONSES),
    file_days=None,
    upload_status=201,
    looks_until_processed=2,
    usage=False,
    empty_error_file=True,
    codes=AZURE_CODES,
    expires=False,
)
AZURE_DATED = Quirks(
    prefix="/openai",
    auth_header="api-key",
    purposes=("assistants", "batch", "fine-tune"),
    endpoints=("/chat/completions", CHAT),
    pages=False,
    file_expiry="ignored",
    file_days=None,
    upload_status=201,
    looks_until_processed=2,
    usage=False,
    errors="azure",
    counts_at_once=False,
    empty_error_file=True,
    codes=AZURE_CODES,
    iso_times=True,
    capital_statuses=True,
    expires=False,
)
GROQ = Quirks(
    prefix="/openai/v1",
    pages=False,
    endpoints=(CHAT, "/v1/audio/transcriptions", "/v1/audio/translations"),
    windows=("24h", "48h", "7d"),
    file_status=False,
    file_expiry="ignored",
    file_days=None,
    usage=False,
)
DEEPINFRA = Quirks(
    lines_prefix="/v1/openai",
    endpoints=(CHAT, COMPLETIONS, EMBEDDINGS),
    file_id="file_",
    errors="detail",
    counts_at_once=False,
    deepinfra_rows=True,
    empty_error_file=True,
    first_line=0,
    codes={
        "invalid_json_line": "invalid_json",
        "model_not_found": "unknown_model",
        "mismatched_model": "model_mismatch",
        "missing_required_parameter": "invalid_line",
    },
    cancel_over=400,
)
QUIRKS = {
    "openai": OPENAI,
    "azure": AZURE_V1,
    "groq": GROQ,
    "nebius": Quirks(file_status=False, errors="detail", usage=False),
    "parasail": Quirks(single_model=False, usage=False),
    "perplexity": Quirks(
        endpoints=(RESPONSES,), chat_path="/chat/completions", file_expiry="refused", checks_lines=True
    ),
    "deepinfra": DEEPINFRA,
    "cerebras": Quirks(endpoints=(CHAT,), file_days=7, usage=False),
}
