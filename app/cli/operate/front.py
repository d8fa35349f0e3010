"""What `batchgate doctor --url` asks a running gateway, as its clients reach it: most faults here are nginx's."""

import hashlib
import http.client
import ipaddress
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from app.cli.client.http import Bearer
from app.lib import json
from app.services.doctor.checks import skew
from app.services.doctor.findings import FAIL, OK, WARN, Finding

TIMEOUT_S = 20
# How long the head of a request waits for a refusal. A gateway that takes the body says nothing.
REFUSAL_S = 3
# An address of documentation, which nobody has: a gateway that writes it down believes what clients say.
SPOOFED = "203.0.113.7"
CONF = "Compare its configuration with deploy/nginx.conf"
READY_PARTS = ("database", "store", "secrets", "blobs", "disk")
FORM_BYTES = 2**20
WORKER_SEEN = "worker_seen_seconds_ago"


@dataclass
class Seen:
    """What was found, and the id of a request that said it came from SPOOFED."""

    findings: list[Finding] = field(default_factory=list)
    request_id: str | None = None

    def add(self, check: str, state: str, message: str, action: str = "") -> None:
        """Adds a finding."""
        self.findings.append(Finding(check, state, message, action))


def examine(url: str, *, key: str | None, limit_bytes: int) -> Seen:
    """Asks the gateway at `url`. A small file is uploaded with `key`, fetched and deleted."""
    seen = Seen()
    with requests.Session() as session:
        try:
            _health(session, url, seen)
            _ready(session, url, seen)
            if limit_bytes > FORM_BYTES:
                _body_size(url, limit_bytes - FORM_BYTES, seen)
            if key is None:
                seen.add("downloads", OK, "Not checked: give --api-key for uploads, downloads and forwarded addresses.")
            else:
                session.auth = Bearer(key)
                _downloads(session, url, seen)
        except (requests.RequestException, OSError, http.client.HTTPException, ValueError) as error:
            action = "Is the gateway running, and does nginx pass requests to it?"
            seen.add("gateway", FAIL, f"{url} does not answer as a gateway does: {error}", action)
    return seen


def _health(session: requests.Session, url: str, seen: Seen) -> None:
    answer = session.get(f"{url}/healthz", timeout=TIMEOUT_S, allow_redirects=False)
    received_s = time.time()
    if answer.status_code != 200 or json.loads(answer.content) != {"status": "ok"}:
        raise ValueError(f"/healthz answers {answer.status_code}")
    seen.add("gateway", OK, f"{url} answers.")
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_local(parts.hostname or ""):
        text = "Keys travel to it without TLS."
        seen.add("tls", WARN, text, "Let nginx listen with ssl, and give --url its https address.")
    if "x-request-id" not in answer.headers:
        seen.add("headers", WARN, "The proxy drops x-request-id, by which requests are found in logs.", CONF)
    with suppress(ValueError, TypeError):  # a proxy may leave it out
        theirs_s = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
        # The header has whole seconds.
        difference_s = max(0.0, abs(received_s - theirs_s) - 1 - answer.elapsed.total_seconds())
        seen.findings.append(skew("clock", int(difference_s * 1000), url))


def _ready(session: requests.Session, url: str, seen: Seen) -> None:
    answer = session.get(f"{url}/readyz", timeout=TIMEOUT_S, allow_redirects=False)
    report = json.loads(answer.content)
    wrong = {part: report.get(part) for part in READY_PARTS if report.get(part) != "ok"}
    for part, state in wrong.items():
        action = {
            "replaced": "Another file lies where the database was: restart web and workers.",
            "fenced": "batchgate takeover",
            "low": "Free some space on its disk.",
        }.get(str(state), "See the log of the web process, and run batchgate doctor on its machine.")
        seen.add("ready", FAIL if state != "low" else WARN, f"The gateway says of its {part}: {state}.", action)
    if not wrong:
        seen.add("ready", OK, "The gateway says that all its parts work.")
    worker_s = report.get(WORKER_SEEN)
    if worker_s is None or worker_s > 60:
        seen.add("workers", WARN, "The gateway has not seen a worker of late.", "batchgate worker")


def _body_size(url: str, size: int, seen: Seen) -> None:
    """Announces an upload of the largest file, and sends nothing of it: a proxy refuses at once what is too large."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=REFUSAL_S)
    try:
        connection.putrequest("POST", f"{parts.path}/v1/files")
        connection.putheader("Content-Type", "multipart/form-data; boundary=doctor")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        status = connection.getresponse().status
    except TimeoutError:
        status = 100
    finally:
        connection.close()
    if status == 413:
        text = f"The proxy refuses bodies of {size // 2**20} MiB, and BATCHGATE_MAX_FILE_BYTES allows such files."
        seen.add("body size", FAIL, text, "Set client_max_body_size of nginx to at least that.")
    else:
        seen.add("body size", OK, "The largest files that the settings allow may pass.")


def _downloads(session: requests.Session, url: str, seen: Seen) -> None:
    # An input of batches stays at the gateway until a batch needs it.
    content = json.dumps_line({"custom_id": secrets.token_hex(1024)})
    form, files = {"purpose": "batch"}, {"file": ("doctor.jsonl", content)}
    headers = {"X-Forwarded-For": SPOOFED}
    made = session.post(
        f"{url}/v1/files", data=form, files=files, headers=headers, timeout=TIMEOUT_S, allow_redirects=False
    )
    if made.status_code not in (200, 201):
        text = f"An upload is refused with {made.status_code}: {_said(made)}"
        seen.add("downloads", FAIL, text, "Is the key good, and may it write?")
        return
    seen.request_id = made.headers.get("x-request-id")
    path = f"{url}/v1/files/{json.loads(made.content)['id']}"
    try:
        got = session.get(f"{path}/content", timeout=TIMEOUT_S, allow_redirects=False)
        problems = list(_of_download(got, content))
    finally:
        session.delete(path, timeout=TIMEOUT_S)
    for state, text, action in problems:
        seen.add("downloads", state, text, action)
    if not problems:
        seen.add("downloads", OK, "A file went up and came back, with its headers.")


def _of_download(got: requests.Response, content: bytes) -> Iterator[tuple[str, str, str]]:
    if "X-Accel-Redirect" in got.headers:
        action = "Pass requests through nginx, or unset BATCHGATE_ACCEL_PREFIX."
        yield FAIL, "The gateway leaves downloads to nginx (X-Accel-Redirect), and no nginx sends them.", action
    elif got.status_code != 200 or got.content != content:
        action = f"{CONF}: `location` and `alias` of BATCHGATE_ACCEL_PREFIX, and who may read the blobs."
        yield FAIL, f"A download answers {got.status_code} with {len(got.content)} of {len(content)} bytes.", action
    elif got.headers.get("ETag") != f'"{hashlib.sha256(content).hexdigest()}"':
        yield (
            FAIL,
            "The ETag of a download is not the gateway's, so clients cannot go on with it.",
            f"{CONF}: etag off.",
        )
    missing = [name for name in ("x-content-type-options", "x-request-id") if name not in got.headers]
    if missing and "X-Accel-Redirect" not in got.headers:
        yield WARN, f"A download comes without {' and '.join(missing)}.", f"{CONF}: add_header."


def _said(answer: requests.Response) -> str:
    try:
        return str(json.loads(answer.content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
