"""Views for people with a SQL prompt: instants as text, ids joined, sizes as they are."""

from collections.abc import Callable

from app.data.store.waiting import PROGRESS, REASONS, WAITING

INSTANT: dict[str, Callable[[str], str]] = {
    "sqlite": lambda column: f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000, 'unixepoch')",
    "postgresql": lambda column: f"date_trunc('second', to_timestamp({column} / 1000.0) AT TIME ZONE 'UTC')",
}

# What `{form:expression}` becomes: the instant, days in UTC, sums of picodollars as dollars, rates per million.
# SQLite's sums overflow at 2^63, which is nine million dollars in picodollars, so they are added in two parts.
FORMS: dict[str, dict[str, str]] = {
    "sqlite": {
        "now": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
        "day": "strftime('%Y-%m-%d', {} / 1000, 'unixepoch')",
        "dollars": "CASE WHEN {0} IS NOT NULL THEN printf('%d.%012d', {0} / 1000000000000, {0} % 1000000000000) END",
        "dollars_sum": """CASE WHEN count({0}) > 0 THEN printf('%d.%06d%06d',
            (sum({0} / 1000000) + sum({0} % 1000000) / 1000000) / 1000000,
            (sum({0} / 1000000) + sum({0} % 1000000) / 1000000) % 1000000, sum({0} % 1000000) % 1000000) END""",
        "rate": "CASE WHEN {0} IS NOT NULL THEN printf('%d.%06d', {0} / 1000000, {0} % 1000000) END",
    },
    "postgresql": {
        "now": "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
        "day": "to_char(to_timestamp({} / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "dollars": "CAST({} * 0.000000000001 AS TEXT)",
        "dollars_sum": "CAST(sum({}) * 0.000000000001 AS TEXT)",
        "rate": "CAST({} * 0.000001 AS TEXT)",
    },
}

_VIEWS = {
    "v_reasons": REASONS,
    "v_waiting": WAITING,
    "v_progress": PROGRESS,
    "v_files": """
        SELECT f.public_id AS file, p.name AS project, f.home AS provider, f.purpose, f.filename, f.status,
               f.bytes, f.lines, b.state AS blob_state, b.key AS blob_key, f.origin,
               (SELECT count(*) FROM file_copies c WHERE c.file_id = f.id AND c.deleted_at IS NULL) AS copies,
               {f.created_at} AS created, {f.expires_at} AS expires, {f.adopted_at} AS adopted,
               {f.deleted_at} AS deleted
        FROM files f JOIN projects p ON p.id = f.project_id LEFT JOIN blobs b ON b.id = f.blob_id""",
    "v_copies": """
        SELECT o.id, a.provider, a.name AS account, o.native_id, o.state, o.status, o.variant, o.purpose,
               o.filename AS native_filename, o.bytes, f.public_id AS file, p.name AS project, o.attempts,
               o.last_error, {o.next_at} AS next_try, {o.created_at} AS created, {o.expires_at} AS expires,
               {o.deleted_at} AS deleted
        FROM native_objects o JOIN accounts a ON a.id = o.account_id
        LEFT JOIN file_copies c ON c.native_object_id = o.id AND c.deleted_at IS NULL
        LEFT JOIN files f ON f.id = c.file_id LEFT JOIN projects p ON p.id = f.project_id""",
    "v_batches": """
        SELECT b.public_id AS batch, p.name AS project, b.provider, b.execution, b.endpoint, b.model, b.status,
               b.lines_total, b.lines_completed, b.lines_failed,
               b.lines_total - b.lines_completed - b.lines_failed - b.lines_expired - b.lines_cancelled
                   AS lines_pending,
               b.total_tokens, b.worker, i.public_id AS input_file, {b.created_at} AS created,
               {b.in_progress_at} AS started, {b.expires_at} AS deadline,
               {COALESCE(b.completed_at, b.failed_at, b.expired_at, b.cancelled_at)} AS ended,
               b.priority, b.concurrency, {b.not_before} AS not_before, {b.paused_at} AS paused,
               (SELECT w.reason FROM v_reasons w WHERE w.batch_id = b.id) AS waiting_on,
               (SELECT g.lines_per_second FROM v_progress g WHERE g.batch_id = b.id) AS lines_per_second,
               (SELECT g.eta FROM v_progress g WHERE g.batch_id = b.id) AS eta
        FROM batches b JOIN projects p ON p.id = b.project_id JOIN files i ON i.id = b.input_file_id
        WHERE b.deleted_at IS NULL""",
    "v_webhook_deliveries": """
        SELECT d.public_id AS delivery, p.name AS project, e.public_id AS endpoint, e.name AS endpoint_name, e.url,
               b.public_id AS batch, d.event_type, d.event_id, d.origin, d.state, d.attempts, d.status_code, d.error,
               d.latency_ms, {d.created_at} AS created, {d.attempted_at} AS attempted, {d.next_at} AS next_try,
               {e.paused_until} AS endpoint_paused_until, {d.ended_at} AS ended
        FROM webhook_deliveries d JOIN projects p ON p.id = d.project_id
        JOIN webhook_endpoints e ON e.id = d.endpoint_id LEFT JOIN batches b ON b.id = d.batch_id""",
    "v_lines": """
        SELECT b.public_id AS batch, l.line, l.custom_id, l.wire_id, l.state, l.attempts, l.unknown_attempts,
               l.status_code, l.error_code, l.latency_ms, l.input_tokens, l.output_tokens, l.dropped_fields,
               CASE WHEN l.state = 'pending' THEN COALESCE(
                   (SELECT CASE w.state WHEN 'running' THEN 'provider' ELSE 'retry' END FROM batch_line_waits w
                    WHERE w.batch_id = l.batch_id AND w.line = l.line),
                   CASE WHEN b.execution = 'gateway' AND r.reason IN ('provider', 'retry') THEN 'queue'
                        ELSE r.reason END) END AS waiting_on
        FROM batch_lines l JOIN batches b ON b.id = l.batch_id LEFT JOIN v_reasons r ON r.batch_id = b.id""",
    "v_line_waits": """
        SELECT b.public_id AS batch, l.line, l.custom_id, w.state, l.attempts, w.refusals, w.kind, w.status_code,
               w.code, w.message, {w.since} AS since, {w.until} AS until, {w.refused_since} AS refused_since, s.worker
        FROM batch_line_waits w JOIN batches b ON b.id = w.batch_id
        JOIN batch_lines l ON l.batch_id = w.batch_id AND l.line = w.line AND l.state = 'pending'
        LEFT JOIN batch_segments s ON s.batch_id = w.batch_id AND w.line BETWEEN s.first_line AND s.last_line
            AND s.epoch = w.epoch AND s.lease_until >= {now:}
        WHERE w.state = 'retry' OR s.id IS NOT NULL""",
    "v_segments": """
        SELECT b.public_id AS batch, s.first_line, s.last_line, s.state, s.worker, s.epoch, s.lost_epochs,
               {s.lease_until} AS lease_until
        FROM batch_segments s JOIN batches b ON b.id = s.batch_id""",
    "v_jobs": """
        SELECT b.public_id AS batch, j.number AS job, a.provider, a.name AS account, j.state, j.status, j.native_status,
               j.native_id, j.marker, j.attempt, j.lines, j.native_completed, j.native_failed, j.lines_completed,
               j.lines_failed, j.faults, j.last_error, j.worker, {j.next_at} AS next_look, {j.refreshed_at} AS seen,
               {j.creating_at} AS asked, {j.submitted_at} AS submitted, {j.cancel_sent_at} AS cancel_sent,
               {j.native_expires_at} AS native_expires, {j.ended_at} AS ended, {j.done_at} AS done
        FROM batch_jobs j JOIN batches b ON b.id = j.batch_id JOIN accounts a ON a.id = j.account_id""",
    "v_accounts": """
        SELECT a.id, a.provider, a.name, a.source, a.base_url, a.weight, a.max_concurrency,
               CASE WHEN a.retired_at IS NOT NULL THEN 'retired' WHEN a.disabled_at IS NOT NULL THEN 'disabled'
                    ELSE 'enabled' END AS state,
               CASE WHEN a.sealed_credential IS NULL THEN 'no' ELSE 'yes' END AS credential_kept,
               {a.created_at} AS created, {a.changed_at} AS changed, {a.verified_at} AS verified,
               {a.retired_at} AS retired
        FROM accounts a""",
    "v_containers": """
        SELECT c.public_id AS container, p.name AS project, c.provider, a.name AS account, c.native_id, c.name,
               CASE WHEN c.account_id IS NOT NULL AND c.refreshed_at IS NULL THEN 'being made' ELSE c.status END
                   AS status,
               c.memory_limit, {c.created_at} AS created, {c.last_active_at} AS last_active,
               {c.expires_at} AS expires, {c.refreshed_at} AS last_seen
        FROM containers c JOIN projects p ON p.id = c.project_id LEFT JOIN accounts a ON a.id = c.account_id
        WHERE c.deleted_at IS NULL""",
    "v_capacity": """
        SELECT a.provider, c.model, c.ceiling, c.adapted_limit, p.worker, p.held, p.wanted,
               {p.lease_until} AS lease_until
        FROM account_capacity c JOIN accounts a ON a.id = c.account_id
        LEFT JOIN capacity_permits p ON p.capacity_id = c.id""",
    "v_pauses": """
        SELECT u.id, a.provider, a.name AS account, CASE WHEN u.model <> '' THEN u.model END AS model,
               p.name AS project, u.kind, {u.since} AS since, {u.paused_until} AS paused_until, u.pauses,
               u.status_code, u.code, u.message
        FROM pauses u JOIN accounts a ON a.id = u.account_id LEFT JOIN projects p ON p.id = u.project_id""",
    "v_prices": """
        SELECT r.id, r.provider, r.model, {rate:r.input_picodollars} AS input_per_million,
               {rate:COALESCE(r.cached_picodollars, r.input_picodollars)} AS cached_per_million,
               {rate:r.output_picodollars} AS output_per_million, r.batch_percent,
               COALESCE(r.cached_batch_percent, r.batch_percent) AS cached_batch_percent,
               {r.valid_from} AS valid_from, {r.valid_until} AS valid_until, r.source
        FROM prices r""",
    "v_ledger": """
        SELECT l.id, {l.created_at} AS at, l.kind, p.name AS project, k.public_id AS virtual_key, l.provider,
               a.name AS account, l.model, b.public_id AS batch, l.line, l.execution, l.input_tokens, l.cached_tokens,
               l.output_tokens, l.reasoning_tokens, l.price_id, {dollars:l.cost_picodollars} AS cost
        FROM usage_ledger l JOIN projects p ON p.id = l.project_id JOIN accounts a ON a.id = l.account_id
        JOIN batches b ON b.id = l.batch_id LEFT JOIN virtual_keys k ON k.id = l.key_id""",
    "v_usage_daily": """
        SELECT {day:l.created_at} AS day, p.name AS project, k.public_id AS virtual_key, l.provider, l.model,
               sum(CASE WHEN l.kind = 'line' THEN 1 ELSE 0 END) AS lines, sum(l.input_tokens) AS input_tokens,
               sum(l.cached_tokens) AS cached_tokens, sum(l.output_tokens) AS output_tokens,
               {dollars_sum:l.cost_picodollars} AS cost,
               sum(CASE WHEN l.cost_picodollars IS NULL THEN 1 ELSE 0 END) AS unknown_costs
        FROM usage_ledger l JOIN projects p ON p.id = l.project_id LEFT JOIN virtual_keys k ON k.id = l.key_id
        GROUP BY 1, 2, 3, 4, 5""",
    "v_events": """
        SELECT e.id, {e.created_at} AS at, e.actor, e.address, p.name AS project, k.public_id AS virtual_key, e.source,
               e.operation, e.object_id, e.outcome, e.status_code, e.latency_ms, e.request_id, e.detail
        FROM events e LEFT JOIN projects p ON p.id = e.project_id LEFT JOIN virtual_keys k ON k.id = e.key_id""",
}

NAMES = tuple(_VIEWS)


def create_statements(dialect: str) -> list[str]:
    """CREATE VIEW for every view, in SQL of `dialect` (sqlite or postgresql)."""
    return [f"CREATE VIEW {name} AS {_filled(body, dialect)}" for name, body in _VIEWS.items()]


def _filled(body: str, dialect: str) -> str:
    pieces = body.split("{")
    filled = pieces[0]
    for piece in pieces[1:]:
        column, _, rest = piece.partition("}")
        form, colon, expression = column.partition(":")
        filled += (FORMS[dialect][form].format(expression) if colon else INSTANT[dialect](column)) + rest
    return "\n".join(line.strip() for line in filled.strip().splitlines())
