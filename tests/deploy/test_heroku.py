"""app.json and the Procfile: what Heroku accepts, and the processes start with what it gives them."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from app.settings import documented
from tests.support import ports
from tests.support.seaweed import Seaweed
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
STOPS_S = 30  # after which Heroku kills a dyno
# https://devcenter.heroku.com/articles/app-json-schema: the members, and the form of each.
TEXT = {"name", "description", "website", "repository", "logo", "success_url", "stack"}
MEMBERS = TEXT | {"keywords", "scripts", "env", "formation", "addons", "buildpacks", "environments"}
VARIABLE = {"description": str, "value": str, "required": bool, "generator": str}
SIZES = {"eco", "basic", "standard-1x", "standard-2x", "performance-m", "performance-l", "performance-l-ram"}


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "app.json").read_text())
    return found


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def test_heroku_accepts_the_manifest() -> None:
    found = manifest()
    assert set(found) <= MEMBERS
    assert all(isinstance(found[name], str) and found[name] for name in TEXT & set(found))
    assert 3 <= len(found["name"]) <= 30 and len(found["description"]) <= 140
    assert re.fullmatch(r"heroku-\d\d", found["stack"])
    assert all(isinstance(word, str) for word in found["keywords"])
    assert all(set(pack) == {"url"} for pack in found["buildpacks"])
    for addon in found["addons"]:
        assert set(addon) <= {"plan", "as", "options"} and re.fullmatch(r"[a-z-]+:[a-z0-9-]+", addon["plan"])
    for name, process in found["formation"].items():
        assert name in procfile() and name != "release"
        assert set(process) == {"quantity", "size"} and process["size"] in SIZES and process["quantity"] >= 1
    for name, variable in found["env"].items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
        assert variable["description"]
        assert all(isinstance(value, VARIABLE[member]) for member, value in variable.items()), name
        assert variable.get("generator", "secret") == "secret" and not {"value", "generator"} <= set(variable)


def test_the_manifest_names_what_exists() -> None:
    known = {name for name, _, _ in documented()} | {"OPENAI_API_KEY"}
    found = manifest()["env"]
    assert set(found) <= known
    needed = {name for name, variable in found.items() if variable.get("required", True)}
    assert needed >= {"BATCHGATE_SECRET_KEY", "BATCHGATE_BLOB_URL", "BATCHGATE_PUBLIC_URL"}
    assert float(found["BATCHGATE_DRAIN_SECONDS"]["value"]) < STOPS_S
    extras = re.search(r"^-e \.\[(.*)\]$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert extras is not None and set(extras[1].split(",")) == {"postgres", "objects"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_processes_start_with_what_heroku_gives_them(database_url: str, seaweed: Seaweed, tmp_path: Path) -> None:
    address = seaweed.address(secrets.token_hex(4))
    [port] = ports.free(1)
    answers = {
        "BATCHGATE_SECRET_KEY": secrets.token_hex(64),
        "BATCHGATE_PUBLIC_URL": "https://my-batchgate.herokuapp.com",
        "BATCHGATE_BLOB_URL": address.url,
        "BATCHGATE_BLOB_ENDPOINT": address.endpoint,
        "BATCHGATE_BLOB_KEY_ID": address.key_id,
        "BATCHGATE_BLOB_SECRET": address.secret,
    }
    values = {name: variable["value"] for name, variable in manifest()["env"].items() if "value" in variable}
    heroku = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": database_url.replace("postgresql", "postgres", 1),
        "PORT": str(port),
        "BATCHGATE_BIND": "127.0.0.1",  # the Procfile leaves it out
        "BATCHGATE_HOME": str(tmp_path),  # as the folder of the app, which a dyno may write
    }
    env = {**values, **answers, **heroku}
    done = subprocess.run(["sh", "-c", procfile()["release"]], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    started = [
        subprocess.Popen(["sh", "-c", f"exec env {procfile()[name]}"], cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
        for name in ("web", "worker")
    ]
    try:
        until(lambda: _ready(port), seconds=60, what="web is ready, and has seen the worker")
        for process in started:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(STOPS_S) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
    except requests.ConnectionError:
        return False
    return answer.status_code == 200 and answer.json()["worker_seen_seconds_ago"] is not None
