"""All settings as fields, whose help is their documentation: docs/settings.md is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MIB = 2**20


def _var(env: str, default: Any, help_text: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env, "help": help_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, each with its variable, default and meaning. Names of seconds end in `_s`, of sizes in `_bytes`."""

    home: Path = _var(
        "BATCHGATE_HOME", Path("var"), "Folder of the embedded store: SQLite database, blobs and key file."
    )
    database_url: str = _var(
        "DATABASE_URL",
        "",
        "SQLAlchemy or Heroku URL of the database. Empty: SQLite under `BATCHGATE_HOME`; use PostgreSQL for more "
        "than one host.",
    )
    database_pool: int = _var(
        "BATCHGATE_DATABASE_POOL",
        16,
        "Connections per process, for reads and for writes each: a process opens at most twice this number. Lower "
        "it if PostgreSQL runs out of connections.",
    )
    listen_url: str = _var(
        "BATCHGATE_LISTEN_URL",
        "",
        "URL of PostgreSQL itself, if `DATABASE_URL` leads to a pooler such as PgBouncer: each worker keeps one "
        "connection to it, over which it hears of new work ([postgresql.md](postgresql.md)). Empty: `DATABASE_URL`.",
        secret=True,
    )
    blob_url: str = _var(
        "BATCHGATE_BLOB_URL",
        "",
        "Where new file contents are kept: `file:///path`, a folder that all processes share, or `s3://bucket/prefix`, "
        "`gs://bucket/prefix`, `az://container/prefix` ([object-stores.md](object-stores.md)). Empty: `blobs/` under "
        "`BATCHGATE_HOME`.",
    )
    blob_endpoint: str = _var(
        "BATCHGATE_BLOB_ENDPOINT", "", "URL of the object store, as of MinIO. Empty: the cloud's."
    )
    blob_region: str = _var("BATCHGATE_BLOB_REGION", "", "Region of the S3 bucket. Empty: `AWS_REGION`.")
    blob_path_style: bool = _var(
        "BATCHGATE_BLOB_PATH_STYLE",
        True,
        "Address an S3 bucket as `endpoint/bucket`. `false`: as `bucket.endpoint`, which a few services require.",
    )
    blob_key_id: str = _var("BATCHGATE_BLOB_KEY_ID", "", "Access key id for S3, storage account for Azure.")
    blob_secret: str = _var(
        "BATCHGATE_BLOB_SECRET",
        "",
        "Secret access key for S3; account key or SAS token for Azure; for GCS a service account, as JSON or its file. "
        "Empty: as the cloud's own tools find credentials.",
        secret=True,
    )
    signed_url_s: int = _var(
        "BATCHGATE_SIGNED_URL_SECONDS",
        0,
        "Seconds for which a URL of the S3 store is good that large downloads are redirected to. 0: no redirects.",
    )
    blob_stores: str = _var(
        "BATCHGATE_BLOB_STORES",
        "",
        "Other stores with file contents: a JSON list, or the path of its file ([object-stores.md](object-stores.md)).",
        secret=True,
    )
    secret_key: str = _var(
        "BATCHGATE_SECRET_KEY",
        "",
        "Key ring that encrypts secrets at rest: a comma-separated list, of which the first key encrypts and all "
        "decrypt. Required with PostgreSQL. Empty, with SQLite: a key is generated and kept under `BATCHGATE_HOME`.",
        secret=True,
    )
    public_url: str = _var(
        "BATCHGATE_PUBLIC_URL",
        "",
        "Base URL under which clients reach the gateway; used in the URLs it returns. Empty: "
        "`http://127.0.0.1:$PORT`. Set it in every deployment.",
    )
    default_provider: str = _var(
        "BATCHGATE_DEFAULT_PROVIDER",
        "",
        "Provider for new objects when neither the request nor the project names one. Empty: `openai` if it has an "
        "account, else the only provider that has one.",
    )
    jwt_issuers: str = _var(
        "BATCHGATE_JWT_ISSUERS",
        "",
        "Issuers whose JWTs are accepted: a JSON list, or the path of a file that contains one "
        "([credentials.md](credentials.md)). Empty: none.",
        secret=True,
    )
    allow_provider_keys: bool = _var(
        "BATCHGATE_ALLOW_PROVIDER_KEYS",
        False,
        "Accept providers' own API keys from callers who name the provider; each key gets a project of its own "
        "([credentials.md](credentials.md)).",
    )
    bind: str = _var(
        "BATCHGATE_BIND",
        "127.0.0.1",
        "Address on which the web process listens. By default only this host, and so a proxy on it, reaches the "
        "gateway; `0.0.0.0`: every host (the Procfile's default), `[::]`: also over IPv6.",
    )
    port: int = _var("PORT", 8080, "Port on which the web process listens.")
    trusted_proxies: int = _var(
        "BATCHGATE_TRUSTED_PROXIES",
        0,
        "Number of proxies in front (nginx, a router) that append to `X-Forwarded-For`. A caller's address is the "
        "one that the outermost proxy saw; 0: the address of the connection. Set it behind a proxy if keys are "
        "bound to networks.",
    )
    proxy_networks: str = _var(
        "BATCHGATE_PROXY_NETWORKS",
        "127.0.0.0/8,::1/128",
        "Networks of these proxies, separated by commas. `X-Forwarded-For` is believed only as far as it comes from "
        "them, so a client that reaches the gateway directly cannot forge its address.",
    )
    web_concurrency: int = _var("WEB_CONCURRENCY", 2, "Number of web processes. Start with one per CPU core.")
    web_threads: int = _var(
        "BATCHGATE_WEB_THREADS",
        64,
        "Threads per web process: the number of requests that it serves at once, uploads and downloads included.",
    )
    client_silence_s: float = _var(
        "BATCHGATE_CLIENT_SILENCE_SECONDS",
        60.0,
        "Seconds after which a client that sends or reads nothing is disconnected; 0: never.",
    )
    client_bytes_per_s: int = _var(
        "BATCHGATE_CLIENT_BYTES_PER_SECOND",
        1024,
        "Slowest pace at which a client may send a body or read an answer, in bytes per second: one that falls behind "
        "it by `BATCHGATE_CLIENT_SILENCE_SECONDS` is disconnected. 0: any pace.",
    )
    client_head_s: float = _var(
        "BATCHGATE_CLIENT_HEAD_SECONDS",
        20.0,
        "Seconds within which the request line and all headers of a request must arrive. Until then the request "
        "takes no thread.",
    )
    accel_prefix: str = _var(
        "BATCHGATE_ACCEL_PREFIX",
        "",
        "nginx `internal` location that serves the blob folder, such as `/_blobs/`. Empty: the gateway sends files "
        "itself.",
    )
    log_level: str = _var(
        "BATCHGATE_LOG_LEVEL", "info", "Least severe level that is logged: `debug`, `info`, `warning` or `error`."
    )
    log_format: str = _var("BATCHGATE_LOG_FORMAT", "json", "`json`, or `text` for reading in a terminal.")
    metrics_token: str = _var(
        "BATCHGATE_METRICS_TOKEN",
        "",
        "Bearer token for `GET /metrics`. Without it the web process has no such page ([metrics.md](metrics.md)).",
        secret=True,
    )
    metrics_port: int = _var(
        "BATCHGATE_METRICS_PORT",
        0,
        "Port on which one process of each host, web or worker, serves `/metrics` for all of them; needed where only "
        "workers run. With a token it listens on `BATCHGATE_BIND`, else only this host reaches it. 0: none.",
    )
    max_file_bytes: int = _var(
        "BATCHGATE_MAX_FILE_BYTES",
        8 * 1024 * MIB,
        "Maximum size of an uploaded file, in bytes. nginx has a limit of its own (`client_max_body_size`).",
    )
    disk_reserve_bytes: int = _var(
        "BATCHGATE_DISK_RESERVE_BYTES",
        256 * MIB,
        "Free space, in bytes, that uploads and new batches leave on the disks of the blob folder and of the SQLite "
        "file. With less, they are refused with 507, while deletes work and running batches write their results.",
    )
    max_pending_uploads: int = _var(
        "BATCHGATE_MAX_PENDING_UPLOADS",
        1000,
        "Maximum number of uploads of a project that wait for their parts. Each ends after an hour. 0: no maximum.",
    )
    keep_files: bool = _var(
        "BATCHGATE_KEEP_FILES",
        True,
        "Keep a copy of files that are stored at their provider. `false`: the gateway fetches them from there on "
        "each download, which works only for providers that return uploads.",
    )
    max_line_bytes: int = _var(
        "BATCHGATE_MAX_LINE_BYTES",
        16 * MIB,
        "Maximum length of a line of a batch input, in bytes. Raise it for large images in requests; it bounds "
        "memory per line.",
    )
    max_json_bytes: int = _var(
        "BATCHGATE_MAX_JSON_BYTES",
        4 * MIB,
        "Maximum size of a JSON request body, in bytes; the inline `requests` of a batch do not count.",
    )
    max_input_lines: int = _var(
        "BATCHGATE_MAX_INPUT_LINES",
        10_000_000,
        "Maximum number of lines in a batch input, blank ones included. A larger file can be uploaded, but a batch on "
        "it fails.",
    )
    max_batch_lines: int = _var(
        "BATCHGATE_MAX_BATCH_LINES",
        0,
        "Maximum number of lines of a batch that the gateway runs itself; 0: no limit. Limits of providers apply "
        "besides.",
    )
    default_output_tokens: int = _var(
        "BATCHGATE_DEFAULT_OUTPUT_TOKENS",
        4096,
        "Output tokens that estimates and budgets assume for a line that sets no token limit. If budgets must hold, "
        "set it to the longest answer that your models can write.",
    )
    worker_concurrency: int = _var(
        "BATCHGATE_WORKER_CONCURRENCY",
        64,
        "Maximum number of lines that a worker process has in flight. Limits of the account (`..._MAX_CONCURRENCY`) "
        "hold across all workers.",
    )
    inflight_bytes: int = _var(
        "BATCHGATE_INFLIGHT_BYTES",
        32 * MIB,
        "Memory for requests and answers in flight, in bytes per worker process. Raise it if large lines keep a "
        "worker below its concurrency.",
    )
    max_inlined_bytes: int = _var(
        "BATCHGATE_MAX_INLINED_BYTES", 10 * MIB, "Maximum size of all files that one line names and holds, in bytes."
    )
    lease_s: float = _var(
        "BATCHGATE_LEASE_SECONDS",
        30.0,
        "Seconds without a heartbeat after which another worker takes over a worker's lines and jobs. At least "
        "twice the heartbeat.",
    )
    heartbeat_s: float = _var("BATCHGATE_HEARTBEAT_SECONDS", 10.0, "Seconds between the renewals of a worker's leases.")
    poll_s: float = _var(
        "BATCHGATE_POLL_SECONDS",
        0.5,
        "Seconds between an idle worker's looks for work that no hint named, such as what becomes due with time; "
        "four times as long while no batch runs. Raise it to reduce the load that many workers put on the database.",
    )
    chunk_bytes: int = _var(
        "BATCHGATE_CHUNK_BYTES",
        1 * MIB,
        "Answers are written to the store once they reach this size in bytes, or `BATCHGATE_CHUNK_MS`.",
    )
    chunk_ms: int = _var(
        "BATCHGATE_CHUNK_MS",
        250,
        "Milliseconds after which answers are written even if they are small. Higher: fewer writes, and more lines "
        "to repeat after a crash.",
    )
    connect_timeout_s: float = _var(
        "BATCHGATE_CONNECT_TIMEOUT_SECONDS",
        10.0,
        "Seconds to wait for a connection to a provider. Raise it if the network to the provider is slow.",
    )
    call_timeout_s: float = _var(
        "BATCHGATE_CALL_TIMEOUT_SECONDS",
        30.0,
        "Seconds to wait for a provider's answer to a management call (files, batches, containers, models).",
    )
    silence_timeout_s: float = _var(
        "BATCHGATE_SILENCE_TIMEOUT_SECONDS",
        60.0,
        "Seconds without a byte after which a file transfer to or from a provider is aborted. It limits silence, "
        "not duration.",
    )
    line_timeout_s: float = _var(
        "BATCHGATE_LINE_TIMEOUT_SECONDS",
        600.0,
        "Seconds to wait for a provider's answer to one line. Raise it for models that think for longer.",
    )
    refused_s: float = _var(
        "BATCHGATE_REFUSED_SECONDS",
        6 * 3600.0,
        "Seconds for which a line may be refused (429, 503, no credit left) before it ends with the refusal that it "
        "got. Lower it to learn sooner; raise it if your provider refuses for hours and then goes on.",
    )
    job_threads: int = _var(
        "BATCHGATE_JOB_THREADS",
        4,
        "Provider jobs that a worker process submits, polls or collects at once; at most half of them at one account.",
    )
    job_poll_s: float = _var(
        "BATCHGATE_JOB_POLL_SECONDS",
        10.0,
        "Seconds between polls of a young provider job; the interval grows with the job's age.",
    )
    refresh_s: float = _var(
        "BATCHGATE_REFRESH_SECONDS",
        5.0,
        "A caller's GET refreshes the state of provider jobs, files and containers that is older than this many "
        "seconds.",
    )
    reconcile_s: float = _var(
        "BATCHGATE_RECONCILE_SECONDS",
        60.0,
        "Seconds to wait before looking at the provider for an object whose creation was not confirmed: the time that "
        "providers have to show new objects in their lists.",
    )
    sweep_s: float = _var(
        "BATCHGATE_SWEEP_SECONDS", 60.0, "Seconds between sweeps, which delete expired objects and leftovers."
    )
    lines_retention_days: int = _var(
        "BATCHGATE_LINES_RETENTION_DAYS",
        30,
        "Days after which the lines and partial results of a finished batch are deleted; its files stay. 0: never.",
    )
    events_retention_days: int = _var(
        "BATCHGATE_EVENTS_RETENTION_DAYS",
        400,
        "Days after which events are deleted. 0: never.",
    )
    webhook_hosts: str = _var(
        "BATCHGATE_WEBHOOK_HOSTS",
        "",
        "Hosts and networks that webhooks may reach although they are not public, also by `http`: `hooks.internal, "
        "10.1.0.0/16`. All others must be public and are called by HTTPS.",
    )
    webhook_retention_days: int = _var(
        "BATCHGATE_WEBHOOK_RETENTION_DAYS", 30, "Days after which webhook deliveries that ended are deleted. 0: never."
    )
    upload_lease_s: float = _var(
        "BATCHGATE_UPLOAD_LEASE_SECONDS",
        300.0,
        "Seconds after which an upload that makes no progress counts as abandoned, and the sweeper deletes its bytes.",
    )
    drain_s: float = _var(
        "BATCHGATE_DRAIN_SECONDS",
        25.0,
        "Seconds that a worker waits after SIGTERM for its lines in flight. Keep it below the time that your "
        "supervisor allows before SIGKILL.",
    )
    engine: str = _var(
        "BATCHGATE_ENGINE",
        "embedded",
        "How workers learn of their work: `embedded` (`batchgate worker`; they look into the database) or `celery` "
        "(`celery -A app.celery_worker worker`; by messages through `BATCHGATE_BROKER_URL`).",
    )
    broker_url: str = _var(
        "BATCHGATE_BROKER_URL",
        "",
        "URL of the broker for `BATCHGATE_ENGINE=celery`, such as `redis://broker.internal:6379/0` or "
        "`amqp://user:password@broker.internal`. The database decides, so no message needs to be durable.",
        secret=True,
    )
    task_s: float = _var(
        "BATCHGATE_TASK_SECONDS",
        15.0,
        "Seconds after which a Celery task passes on what is left to a new one. A worker that is asked to stop waits "
        "as long at most. Keep it far below the broker's visibility timeout.",
    )
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_embedded(self) -> bool:
        """True with SQLite: the gateway may then generate and store its own secret key."""
        return self.database_url.startswith("sqlite")
