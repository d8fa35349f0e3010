"""Webhooks through OpenAI's SDK for Node: it takes what the gateway signs, and refuses the rest."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import openai
import pytest

from app.auth import signatures

pytestmark = pytest.mark.one_database

SCRIPT = Path(__file__).with_name("webhooks.mjs")
# Where `make install` puts it.
MODULE = Path(openai.__file__).parents[4] / "node/node_modules/openai/index.mjs"
BODY = b'{"id":"evt_1","object":"event","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'


def test_the_sdk_for_node_unwraps_what_is_ours_alone() -> None:
    secret, other, now = signatures.new_secret(), signatures.new_secret(), int(time.time())

    def message(*, body: bytes = BODY, secrets: tuple[str, ...] = (secret,), age_s: int = 0) -> dict[str, object]:
        headers = signatures.headers(secrets, message_id="evt_1", at_s=now - age_s, body=BODY)
        return {"body": body.decode(), "headers": headers, "secret": secret}

    messages = [
        message(),
        message(secrets=(other, secret)),
        message(body=BODY.replace(b"completed", b"cancelled")),
        message(age_s=400),
        message(age_s=-400),
        message(secrets=(other,)),
    ]
    taken, refused = "batch.completed batch_1", "InvalidWebhookSignatureError"
    assert verdicts(messages) == [taken, taken, refused, refused, refused, refused]


def verdicts(messages: list[dict[str, object]]) -> list[str]:
    """What the script says of each."""
    node = shutil.which("node")
    assert node is not None and MODULE.is_file(), f"{MODULE} or node is missing: run `make install`"
    command = [node, str(SCRIPT), str(MODULE), json.dumps(messages)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found
