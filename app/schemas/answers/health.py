"""What health routes answer."""

from app.schemas.answers.base import Answer, real, text

STATE = "`ok`, or what is wrong."


class Ok(Answer):
    """All is well."""

    status = text("Always `ok`.", "ok", words=("ok",))


class Readiness(Answer):
    """Whether the process can serve requests."""

    status = text("`ok`, or `unavailable`.", "ok")
    database = text(STATE, "ok")
    store = text("`ok`, `fenced` (it can be read) or `moved`.", "ok")
    secrets = text(STATE, "ok")
    blobs = text(STATE, "ok")
    disk = text("`ok`, or `low`: uploads are refused then.", "ok")
    worker_seen_seconds_ago = real("When a worker was last seen; null for never.", 0.4, null=True)
    checked_seconds_ago = real("When this was looked at.", 1.2, null=True)
