"""deploy/docker: linted, held against the Compose specification, and what the services are started with works."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from app.services.gateway import Gateway
from app.settings import documented, from_environment
from tests.support import ports
from tests.support.waiting import until
from tools.clean_root import ignored, instructions

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "docker"
DOCKERFILE = FOLDER / "Dockerfile"
PROGRAMS = Path(sys.executable).parent
SECRET = "secret-of-the-bucket"


def resolved() -> Any:
    """compose.yaml as Compose takes it: variables and merges are put in."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (FOLDER / "compose.yaml").read_text())
    return yaml.safe_load(re.sub(r"\$\{\w+:\?[^}]*\}", SECRET, text))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = resolved()["services"]
    return found


def test_the_dockerfile_passes_the_linter(tmp_path: Path) -> None:
    hadolint = str(PROGRAMS / "hadolint")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp && sudo apt-get install curl\n")
    assert "DL3006" in subprocess.run([hadolint, str(bad)], capture_output=True, text=True, check=False).stdout


def test_the_image_runs_as_a_user_and_holds_what_it_needs() -> None:
    found = list(instructions(DOCKERFILE.read_text()))
    assert sum(name == "FROM" for name, _ in found) == 2
    last = dict(found)  # of the last stage, where it has them
    assert last["USER"] == "10001:10001"
    assert "/readyz" in last["HEALTHCHECK"]
    patterns = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    for secret in (".env", ".git/config", "var/batchgate.db", "deploy/docker/compose.yaml", "tests/conftest.py"):
        assert ignored(secret, patterns), secret
    for name, arguments in found:
        if name == "COPY" and "--from" not in arguments:
            assert not [path for path in arguments.split()[:-1] if ignored(path.strip("/"), patterns)], arguments


def test_compose_follows_its_specification() -> None:
    text = json.dumps(resolved())
    parsed = PyCompose.from_yaml(text)
    wanted = {"release", "web", "worker", "beat", "nginx", "postgres", "redis", "seaweedfs", "bucket"}
    assert set(parsed.service_names()) == wanted
    with pytest.raises(ValueError, match="restarts"):
        PyCompose.from_yaml(text.replace('"restart": "on-failure"', '"restarts": "on-failure"'))


def test_compose_names_what_exists(services: dict[str, Any]) -> None:
    known = {name for name, _, _ in documented()}
    for name, service in services.items():
        for needed in service.get("depends_on", {}):
            assert needed in services, name
        condition = {needed: how["condition"] for needed, how in service.get("depends_on", {}).items()}
        for needed, how in condition.items():
            assert how != "service_healthy" or services[needed].get("healthcheck") or needed == "web", (name, needed)
        if service["image"] == "batchgate":
            assert set(service["environment"]) <= known, name
            assert (FOLDER / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).exists()
            assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    [mounted] = [volume for volume in services["nginx"]["volumes"] if "nginx.conf" in volume]
    assert (FOLDER / mounted.partition(":")[0]).resolve() == ROOT / "deploy" / "nginx.conf"
    defaults = from_environment({})
    assert _seconds(services["web"]["stop_grace_period"]) > 120
    assert _seconds(services["worker"]["stop_grace_period"]) > defaults.task_s + defaults.drain_s


@pytest.fixture
def bucket(services: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """The endpoint of SeaweedFS, started as in compose.yaml but for ports and folders, with its bucket."""
    keys = tmp_path / "s3.json"
    keys.write_text(resolved()["configs"]["s3_keys"]["content"])
    names = ("master", "volume", "filer", "s3")
    given = dict(zip(names, ports.free(len(names)), strict=True))
    grpc = dict(zip(names, ports.free(len(names)), strict=True))
    words = [str(PROGRAMS / "weed"), *services["seaweedfs"]["command"]]
    words = [word.replace("/etc/seaweedfs/s3.json", str(keys)).replace("/data", str(tmp_path)) for word in words]
    words = [word for word in words if not word.startswith(("-s3.port=", "-ip.bind="))]
    words += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=8"]
    words += [f"-{name}.port={port}" for name, port in given.items()]
    words += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    [making] = services["bucket"]["command"]
    making = making.replace("weed ", f"{PROGRAMS / 'weed'} ").replace(
        "seaweedfs:9333", f"127.0.0.1:{given['master']}.{grpc['master']}"
    )
    with (tmp_path / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log, cwd=tmp_path) as server:
        try:
            until(lambda: _made(making), seconds=60, what=(tmp_path / "log").read_text)  # type: ignore[arg-type]
            yield f"http://127.0.0.1:{given['s3']}"
        finally:
            server.kill()


@pytest.mark.one_database
def test_the_services_work_together(
    services: dict[str, Any], bucket: str, environment: dict[str, str], gateway: Gateway
) -> None:
    """The release of compose.yaml accepts the bucket that its SeaweedFS has made, with the rights that its key has."""
    release = services["release"]
    blobs = {name: value for name, value in release["environment"].items() if name.startswith("BATCHGATE_BLOB_")}
    blobs["BATCHGATE_BLOB_ENDPOINT"] = bucket
    command = [str(PROGRAMS / release["command"][0]), *release["command"][1:]]
    env = {"PATH": os.environ["PATH"], **environment, **blobs}
    until(lambda: subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0, seconds=60)
    refused = env | {"BATCHGATE_BLOB_URL": "s3://others/blobs"}
    assert subprocess.run(command, env=refused, capture_output=True, check=False).returncode == 2


def _made(command: str) -> bool:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode == 0 and "create bucket" in done.stdout


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))
