"""The view `v_waiting`: why each batch waits that does. What clients see is read from it, too, so this alone decides.

A batch waits for an account that is disabled, for a pause of its model or account, for lines that are sent again later,
or for its provider, in this order. Of native batches the first job that is not done decides, and says what went wrong
with it last.
"""

# `lines` are how many wait to be sent again. Instants are Unix milliseconds. Conditions are such that databases without
# statistics find pauses by their indexes, and batches by that of running ones: none answers COALESCE(deleted_at, 0).
_REASONS = """
    SELECT batch_id, reason, lines, status_code, code, message, kind,
           CASE reason WHEN 'paused' THEN pause_since WHEN 'retry' THEN COALESCE(retry_since, job_since)
                       WHEN 'account_disabled' THEN account_since ELSE COALESCE(running_since, job_since, began) END
               AS since_ms,
           CASE reason WHEN 'paused' THEN paused_until WHEN 'retry' THEN COALESCE(retry_until, job_next) END AS until_ms
    FROM (
      SELECT f.*, CASE
               WHEN execution = 'provider' THEN CASE
                 WHEN job_state = 'pending' AND account_since IS NOT NULL THEN 'account_disabled'
                 WHEN job_state IN ('pending', 'creating', 'ended') AND job_faults > 0 THEN 'retry'
                 WHEN job_state IN ('creating', 'running', 'unknown') THEN 'provider' END
               WHEN account_since IS NOT NULL AND NOT is_leased THEN 'account_disabled'
               WHEN paused_until IS NOT NULL THEN 'paused'
               WHEN lines >= pending AND lines > 0 THEN 'retry'
               WHEN is_leased THEN 'provider' END AS reason
      FROM (
        SELECT b.id AS batch_id, b.execution, COALESCE(b.in_progress_at, b.created_at) AS began,
               b.lines_total - b.lines_completed - b.lines_failed - b.lines_expired - b.lines_cancelled AS pending,
               COALESCE(a.disabled_at, a.retired_at) AS account_since,
               u.since AS pause_since, u.paused_until,
               COALESCE(u.kind, r.kind) AS kind, COALESCE(u.status_code, r.status_code) AS status_code,
               COALESCE(u.code, r.code) AS code,
               CASE WHEN b.execution = 'provider' THEN j.last_error ELSE COALESCE(u.message, r.message) END AS message,
               r.since AS retry_since, r.until AS retry_until,
               (SELECT count(*) FROM batch_line_waits w WHERE w.batch_id = b.id AND w.state = 'retry') AS lines,
               (SELECT min(w.since) FROM batch_line_waits w WHERE w.batch_id = b.id AND w.state = 'running')
                   AS running_since,
               EXISTS (SELECT 1 FROM batch_segments s
                       WHERE s.batch_id = b.id AND s.state = 'open' AND s.lease_until >= {now:}) AS is_leased,
               j.state AS job_state, j.faults AS job_faults, j.next_at AS job_next,
               COALESCE(j.submitted_at, j.creating_at) AS job_since
        FROM batches b JOIN accounts a ON a.id = b.account_id
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
        WHERE COALESCE(b.deleted_at, 0) = 0
          AND (b.status = 'in_progress' OR (b.status = 'validating' AND b.lines_total > 0))
      ) f
    ) w"""

WAITING = """
    SELECT b.public_id AS batch, p.name AS project, b.provider, w.reason, w.kind, w.lines, w.status_code, w.code,
           w.message, {w.since_ms} AS since, {w.until_ms} AS until, w.batch_id, w.since_ms, w.until_ms
    FROM (REASONS) w JOIN batches b ON b.id = w.batch_id JOIN projects p ON p.id = b.project_id
    WHERE w.reason IS NOT NULL""".replace("REASONS", _REASONS)
