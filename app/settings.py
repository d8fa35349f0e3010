"""Everything an operator can set, read once from the environment.

The table in docs/settings.md is generated from the field metadata below.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

MIB = 2**20
BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class SettingsError(ValueError):
    """A variable of the environment that cannot be used; the message names it and the fix."""


def _var(env: str, default: Any, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env, "doc": doc})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its variable, default and meaning. Seconds end in `_s`, sizes in `_bytes`."""

    home: Path = _var("BATCHGATE_HOME", Path("var"), "Folder of the embedded store: SQLite, blobs, secrets.")
    database_url: str = _var("DATABASE_URL", "", "SQLAlchemy or Heroku URL. Empty: SQLite under `BATCHGATE_HOME`.")
    database_pool: int = _var(
        "BATCHGATE_DATABASE_POOL", 16, "Most connections of a process for reads, and as many for writes."
    )
    blob_url: str = _var(
        "BATCHGATE_BLOB_URL", "", "Where bytes live, `file:///path`. Empty: `blobs/` under `BATCHGATE_HOME`."
    )
    secret_key: str = _var(
        "BATCHGATE_SECRET_KEY",
        "",
        "Seals secrets at rest; a comma-separated ring, the first one seals. Made and kept under "
        "`BATCHGATE_HOME` when the store is SQLite; required otherwise.",
        secret=True,
    )
    public_url: str = _var(
        "BATCHGATE_PUBLIC_URL",
        "",
        "What clients call this gateway, for the URLs it hands out. Empty: `http://127.0.0.1:$PORT`.",
    )
    default_provider: str = _var(
        "BATCHGATE_DEFAULT_PROVIDER", "", "Provider for new objects when a request names none."
    )
    jwt_issuers: str = _var(
        "BATCHGATE_JWT_ISSUERS",
        "",
        "Whose JWTs are taken: a JSON list, or the path of a file with one (docs/credentials.md).",
        secret=True,
    )
    allow_provider_keys: bool = _var(
        "BATCHGATE_ALLOW_PROVIDER_KEYS",
        False,
        "Take providers' own keys from callers who name the provider; each has a project of its own "
        "(docs/credentials.md).",
    )
    port: int = _var("PORT", 8080, "Port of the web process.")
    trusted_proxies: int = _var(
        "BATCHGATE_TRUSTED_PROXIES",
        0,
        "How many proxies in front (nginx, a router) add to `X-Forwarded-For`; the address of a caller is what the "
        "outermost of them saw. 0: whoever connects.",
    )
    web_concurrency: int = _var("WEB_CONCURRENCY", 2, "Web processes.")
    web_threads: int = _var("BATCHGATE_WEB_THREADS", 64, "Threads of each web process.")
    client_silence_s: float = _var(
        "BATCHGATE_CLIENT_SILENCE_SECONDS",
        60.0,
        "How long a web thread waits for a client that stopped sending or reading; 0: without end.",
    )
    accel_prefix: str = _var(
        "BATCHGATE_ACCEL_PREFIX",
        "",
        "nginx internal location that serves the blob folder, such as `/_blobs/`. Empty: the gateway sends the bytes.",
    )
    log_level: str = _var("BATCHGATE_LOG_LEVEL", "info", "`debug`, `info`, `warning` or `error`.")
    log_format: str = _var("BATCHGATE_LOG_FORMAT", "json", "`json` or `text`.")
    max_file_bytes: int = _var("BATCHGATE_MAX_FILE_BYTES", 8 * 1024 * MIB, "Largest file the gateway takes.")
    keep_files: bool = _var(
        "BATCHGATE_KEEP_FILES",
        True,
        "Keep the bytes of files that are made at their provider. `false`: they are streamed from there.",
    )
    max_line_bytes: int = _var("BATCHGATE_MAX_LINE_BYTES", 16 * MIB, "Longest line of a batch input.")
    max_json_bytes: int = _var(
        "BATCHGATE_MAX_JSON_BYTES", 4 * MIB, "Largest JSON request body, inline batch requests aside."
    )
    max_batch_lines: int = _var(
        "BATCHGATE_MAX_BATCH_LINES", 0, "Most lines of a batch that the gateway runs; 0: no limit."
    )
    default_output_tokens: int = _var(
        "BATCHGATE_DEFAULT_OUTPUT_TOKENS", 4096, "What an answer without a limit of its own counts as in estimates."
    )
    worker_concurrency: int = _var(
        "BATCHGATE_WORKER_CONCURRENCY", 64, "Most lines that one worker process has in flight."
    )
    inflight_bytes: int = _var(
        "BATCHGATE_INFLIGHT_BYTES", 32 * MIB, "Bytes of requests and answers that one worker process holds at once."
    )
    lease_s: float = _var("BATCHGATE_LEASE_SECONDS", 30.0, "How long a worker that went silent keeps its work.")
    heartbeat_s: float = _var("BATCHGATE_HEARTBEAT_SECONDS", 10.0, "How often a worker renews its leases.")
    poll_s: float = _var("BATCHGATE_POLL_SECONDS", 0.5, "How often an idle worker looks for work.")
    chunk_bytes: int = _var(
        "BATCHGATE_CHUNK_BYTES", 1 * MIB, "Answers are written down when this many bytes have come in,"
    )
    chunk_ms: int = _var("BATCHGATE_CHUNK_MS", 250, "or when the oldest has waited this long.")
    connect_timeout_s: float = _var("BATCHGATE_CONNECT_TIMEOUT_SECONDS", 10.0, "Time to connect to a provider.")
    call_timeout_s: float = _var(
        "BATCHGATE_CALL_TIMEOUT_SECONDS", 30.0, "Time for a provider to answer a management call (files, batches, ...)."
    )
    silence_timeout_s: float = _var(
        "BATCHGATE_SILENCE_TIMEOUT_SECONDS", 60.0, "How long a provider may be silent while the bytes of a file stream."
    )
    line_timeout_s: float = _var("BATCHGATE_LINE_TIMEOUT_SECONDS", 600.0, "Time for a provider to answer one line.")
    job_threads: int = _var(
        "BATCHGATE_JOB_THREADS", 4, "Jobs at providers that one worker process attends to at once; half at one account."
    )
    job_poll_s: float = _var("BATCHGATE_JOB_POLL_SECONDS", 10.0, "How often a young job is looked at; old ones rarer.")
    refresh_s: float = _var(
        "BATCHGATE_REFRESH_SECONDS", 5.0, "A caller's GET looks at the jobs of a batch that were not seen for so long."
    )
    reconcile_s: float = _var(
        "BATCHGATE_RECONCILE_SECONDS", 60.0, "A job that may have been made unheard is looked for after this time."
    )
    sweep_s: float = _var("BATCHGATE_SWEEP_SECONDS", 60.0, "How often leftovers are swept and expiries enforced.")
    lines_retention_days: int = _var(
        "BATCHGATE_LINES_RETENTION_DAYS",
        30,
        "Lines and partial results of a batch are dropped so long after its end; its files stay. 0: never.",
    )
    upload_lease_s: float = _var(
        "BATCHGATE_UPLOAD_LEASE_SECONDS", 300.0, "How long bytes that are being written are left alone by the sweeper."
    )
    drain_s: float = _var("BATCHGATE_DRAIN_SECONDS", 25.0, "How long a worker waits for lines in flight after SIGTERM.")
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_embedded(self) -> bool:
        """True when the store is SQLite, so that the gateway may make and keep secrets itself."""
        return self.database_url.startswith("sqlite")


def documented() -> list[tuple[str, Any, str]]:
    """(variable, default, meaning) of every setting, in the order of the table in the docs."""
    return [(f.metadata["env"], f.default, f.metadata["doc"]) for f in fields(Settings) if f.metadata]


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's). Raises SettingsError naming the variables."""
    source = dict(os.environ if environ is None else environ)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in fields(Settings):
        if setting.metadata:
            try:
                values[setting.name] = _read(setting.metadata["env"], setting.default, source)
            except SettingsError as error:
                wrong.append(str(error))
    if wrong:
        raise SettingsError(" ".join(wrong))
    if values["heartbeat_s"] * 2 > values["lease_s"]:
        raise SettingsError("BATCHGATE_HEARTBEAT_SECONDS must be at most half of BATCHGATE_LEASE_SECONDS.")
    home = Path(values["home"]).absolute()
    values["home"] = home
    values["database_url"] = _database_url(values["database_url"], home)
    values["blob_url"] = values["blob_url"] or (home / "blobs").as_uri()
    values["public_url"] = (values["public_url"] or f"http://127.0.0.1:{values['port']}").rstrip("/")
    return Settings(environment=source, **values)


def _read(name: str, default: Any, source: Mapping[str, str]) -> Any:
    text = source.get(name, "").strip()
    if not text:
        return default
    kind = type(default)
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise SettingsError(f"{name} must be true or false, not {text!r}.")
        return BOOLEANS[text.lower()]
    try:
        value = kind(text)
    except ValueError as error:
        raise SettingsError(f"{name} must be a {kind.__name__}, not {text!r}.") from error
    if isinstance(value, int | float) and value < 0:
        raise SettingsError(f"{name} must not be negative, but is {text!r}.")
    return value


def _database_url(url: str, home: Path) -> str:
    if not url:
        return f"sqlite:///{home / 'batchgate.db'}"
    # Heroku says postgres://; SQLAlchemy knows only postgresql://, and psycopg 3 is the driver here.
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url
