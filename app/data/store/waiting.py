"""The views `v_reasons` and `v_progress`: why each batch that is not over waits, and how fast it runs.

What clients and operators see is read from them, so these alone decide. `v_waiting` shows the reasons that the release
before knows, whose processes may still read it.

What a person did to the batch comes first (paused, not before an instant), then its account, then whether anybody works
at all, then what its provider refuses, and at last whose turn it is. Of native batches the first job that is not done
decides, and says what went wrong with it last.
"""

# A line that has been out for so long is waited for, however many others wait for permits.
HANGS_MS = 60_000
# A worker of the release before, which does not say until when it counts as alive.
SILENT_MS = 60_000
# The last chunks of a batch, of which so many and not older ones show how fast it runs.
CHUNKS = 100
CHUNKS_MS = 600_000

_ALIVE = f"COALESCE(o.lease_until, o.seen_at + {SILENT_MS}) >= {{now:}}"
# Segments whose lines are not in SQL yet are leased until the year 9999, by nobody.
_HELD_FROM = 253_402_214_400_000

# `lines` are how many wait to be sent again. Instants are Unix milliseconds. Conditions are such that databases without
# statistics find pauses by their indexes, and batches by that of running ones: none answers COALESCE(deleted_at, 0).
_FACTS = f"""
    SELECT b.id AS batch_id, b.status, b.execution, COALESCE(b.in_progress_at, b.created_at) AS began,
           b.lines_total, b.created_at, b.paused_at, b.not_before, b.off_peak_until,
           COALESCE(b.cancelling_at, b.finalizing_at) AS ending_since,
           CASE WHEN b.status = 'cancelling' AND CAST(b.errors AS TEXT) LIKE '%"budget_exceeded"%' THEN 1 ELSE 0 END
               AS is_spent,
           b.lines_total - b.lines_completed - b.lines_failed - b.lines_expired - b.lines_cancelled AS pending,
           COALESCE(a.disabled_at, a.retired_at) AS account_since,
           u.since AS pause_since, u.paused_until,
           COALESCE(u.kind, r.kind) AS kind, COALESCE(u.status_code, r.status_code) AS status_code,
           COALESCE(u.code, r.code) AS code,
           CASE WHEN b.execution = 'provider' THEN j.last_error ELSE COALESCE(u.message, r.message) END AS message,
           r.since AS retry_since, r.until AS retry_until,
           CASE WHEN b.execution = 'provider' THEN j.faults ELSE COALESCE(r.refusals, 0) END AS refusals,
           (SELECT count(*) FROM batch_line_waits w WHERE w.batch_id = b.id AND w.state = 'retry') AS lines,
           (SELECT min(w.since) FROM batch_line_waits w WHERE w.batch_id = b.id AND w.state = 'running')
               AS running_since,
           EXISTS (SELECT 1 FROM batch_segments s WHERE s.batch_id = b.id AND s.state = 'open'
                   AND s.lease_until >= {{now:}} AND s.lease_until < {_HELD_FROM}) AS is_leased,
           EXISTS (SELECT 1 FROM workers o WHERE {_ALIVE}) AS has_worker,
           (SELECT max(o.seen_at) FROM workers o) AS worker_since,
           CASE WHEN NOT EXISTS (SELECT 1 FROM workers o WHERE {_ALIVE} AND o.fault IS NULL)
                THEN (SELECT max(o.fault) FROM workers o WHERE {_ALIVE}) END AS fault,
           j.state AS job_state, j.faults AS job_faults, j.next_at AS job_next,
           COALESCE(j.submitted_at, j.creating_at) AS job_since,
           c.ceiling, c.adapted_limit AS learned_limit,
           (SELECT CAST(sum(COALESCE(p.in_flight, p.held)) AS BIGINT) FROM capacity_permits p
            WHERE p.capacity_id = c.id AND p.lease_until >= {{now:}}) AS in_flight,
           (SELECT sum(p.wanted) - sum(p.held) FROM capacity_permits p
            WHERE p.capacity_id = c.id AND p.lease_until >= {{now:}}) AS permits_short,
           (SELECT sum(p.wanted) - sum(p.held) FROM batch_permits p
            WHERE p.batch_id = b.id AND p.lease_until >= {{now:}}) AS own_short
    FROM batches b JOIN accounts a ON a.id = b.account_id
    LEFT JOIN account_capacity c ON b.execution = 'gateway' AND c.account_id = b.account_id AND c.model = b.model
    LEFT JOIN pauses u ON b.execution = 'gateway' AND u.id =
        (SELECT x.id FROM (
           SELECT y.id, y.paused_until FROM pauses y
           WHERE y.account_id = b.account_id AND y.model IN ('', b.model) AND y.project_id IS NULL
           UNION ALL SELECT z.id, z.paused_until FROM pauses z
           WHERE z.account_id = b.account_id AND z.model IN ('', b.model) AND z.project_id = b.project_id
         ) x ORDER BY x.paused_until DESC LIMIT 1)
    LEFT JOIN batch_line_waits r ON r.batch_id = b.id AND r.line =
        (SELECT w.line FROM batch_line_waits w WHERE w.batch_id = b.id AND w.state = 'retry'
         ORDER BY w.until DESC LIMIT 1)
    LEFT JOIN batch_jobs j ON j.id =
        (SELECT k.id FROM batch_jobs k WHERE k.batch_id = b.id AND k.state <> 'done' ORDER BY k.number LIMIT 1)
    WHERE COALESCE(b.deleted_at, 0) = 0 AND b.status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"""

_NOT_YET = """
    WHEN off_peak_until IS NOT NULL AND (off_peak_until <= {now:} OR COALESCE(not_before, 0) > {now:}) THEN 'off_peak'
    WHEN not_before > {now:} THEN 'not_before'"""
_NOBODY = "WHEN NOT has_worker THEN 'no_worker' WHEN fault IS NOT NULL THEN 'store_away'"

_REASON = f"""CASE
    WHEN is_spent = 1 THEN 'budget'
    WHEN status IN ('finalizing', 'cancelling') THEN CASE
      WHEN is_leased OR job_state IS NOT NULL THEN 'provider' {_NOBODY} ELSE 'finalizing' END
    WHEN status = 'validating' AND (execution = 'gateway' OR lines_total = 0) THEN CASE
      {_NOBODY} ELSE 'planning' END
    WHEN execution = 'provider' THEN CASE
      WHEN job_state = 'pending' THEN CASE WHEN paused_at IS NOT NULL THEN 'paused_by_user' {_NOT_YET}
        WHEN account_since IS NOT NULL THEN 'account_disabled' {_NOBODY}
        WHEN job_faults > 0 THEN 'retry' ELSE 'queue' END
      WHEN job_state = 'unknown' THEN 'provider'
      {_NOBODY}
      WHEN job_state IN ('creating', 'ended') AND job_faults > 0 THEN 'retry'
      WHEN job_state IN ('creating', 'running') THEN 'provider'
      ELSE 'finalizing' END
    WHEN paused_at IS NOT NULL THEN 'paused_by_user' {_NOT_YET}
    WHEN account_since IS NOT NULL AND NOT is_leased THEN 'account_disabled'
    WHEN NOT is_leased AND NOT has_worker THEN 'no_worker'
    WHEN fault IS NOT NULL THEN 'store_away'
    WHEN paused_until IS NOT NULL THEN 'paused'
    WHEN pending <= 0 THEN 'finalizing'
    WHEN lines >= pending AND lines > 0 THEN 'retry'
    WHEN is_leased AND running_since < {{now:}} - {HANGS_MS} THEN 'provider'
    WHEN own_short > 0 THEN 'concurrency'
    WHEN permits_short > 0 THEN 'permits'
    WHEN is_leased THEN 'provider'
    ELSE 'queue' END"""

_REASONS = f"""
    SELECT batch_id, execution, reason, lines, refusals, status_code, code, kind, ceiling, learned_limit,
           COALESCE(in_flight, 0) AS in_flight,
           CASE reason WHEN 'store_away' THEN fault ELSE message END AS message,
           CASE reason WHEN 'paused' THEN pause_since WHEN 'retry' THEN COALESCE(retry_since, job_since)
                       WHEN 'account_disabled' THEN account_since WHEN 'paused_by_user' THEN paused_at
                       WHEN 'no_worker' THEN COALESCE(worker_since, began)
                       WHEN 'planning' THEN created_at WHEN 'not_before' THEN created_at WHEN 'off_peak' THEN created_at
                       WHEN 'finalizing' THEN COALESCE(ending_since, began) WHEN 'budget' THEN ending_since
                       WHEN 'provider' THEN COALESCE(running_since, job_since, began) ELSE began END
               AS since_ms,
           CASE WHEN reason = 'paused' THEN paused_until WHEN reason = 'retry' THEN COALESCE(retry_until, job_next)
                WHEN reason IN ('not_before', 'off_peak') AND not_before > {{now:}} THEN not_before END AS until_ms
    FROM (SELECT f.*, {_REASON} AS reason FROM ({_FACTS}) f) w"""

REASONS = f"""
    SELECT b.public_id AS batch, p.name AS project, b.provider, w.execution, w.reason, w.kind, w.lines, w.refusals,
           w.status_code, w.code, w.message, {{w.since_ms}} AS since, {{w.until_ms}} AS until, w.in_flight, w.ceiling,
           w.learned_limit, w.batch_id, w.since_ms, w.until_ms
    FROM ({_REASONS}) w JOIN batches b ON b.id = w.batch_id JOIN projects p ON p.id = b.project_id"""

WAITING = """
    SELECT batch, project, provider, reason, kind, lines, status_code, code, message, since, until,
           batch_id, since_ms, until_ms
    FROM v_reasons WHERE reason IN ('paused', 'retry', 'account_disabled', 'provider')"""

# Between the first and the last of n chunks are the lines of n - 1 of them.
_RATE = f"""
    (SELECT CASE WHEN count(*) > 1
                 THEN sum(r.lines) * (count(*) - 1) * 1000.0 / count(*) / ({{now:}} - min(r.created_at) + 1)
                 WHEN count(*) = 1 THEN sum(r.lines) * 1000.0 / ({{now:}} - b.in_progress_at + 1) END
     FROM (SELECT h.lines, h.created_at FROM batch_chunks h WHERE h.batch_id = b.id
           ORDER BY h.created_at DESC LIMIT {CHUNKS}) r
     WHERE r.created_at > {{now:}} - {CHUNKS_MS})"""

PROGRESS = f"""
    SELECT batch, lines_per_second, {{eta_ms}} AS eta, batch_id, eta_ms
    FROM (SELECT w.*, CAST(rate AS DOUBLE PRECISION) AS lines_per_second,
                 CASE WHEN rate > 0 AND pending > 0 THEN {{now:}} + CAST(pending * 1000 / rate AS BIGINT) END AS eta_ms
    FROM (SELECT b.id AS batch_id, b.public_id AS batch,
                 b.lines_total - b.lines_completed - b.lines_failed AS pending,
                 CASE WHEN b.execution = 'gateway' THEN {_RATE}
                      WHEN b.lines_completed + b.lines_failed > 0
                      THEN (b.lines_completed + b.lines_failed) * 1000.0 / ({{now:}} - b.in_progress_at + 1) END AS rate
          FROM batches b WHERE b.status = 'in_progress' AND COALESCE(b.deleted_at, 0) = 0) w) x"""
