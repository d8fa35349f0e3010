"""deploy/systemd: Debian's systemd takes the units, their programs start, and they may do little else."""

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import from_environment
from tests.support import ports

pytestmark = pytest.mark.one_database

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
INSTALLED = "/srv/batchgate/.venv/bin"
# Of the scale of `systemd-analyze security`, which ends at 100.
MOST_EXPOSED = 20
TRANSFERS_S = 120


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError("systemd-analyze is needed: apt-get install systemd") from error


def service(path: Path) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path)
    return parser["Service"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The units with the programs of this environment."""
    programs = str(Path(sys.executable).parent)
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace(INSTALLED, programs))
    return tmp_path


def test_systemd_accepts_the_units(here: Path) -> None:
    done = analyze("verify", *(str(here / path.name) for path in UNITS))
    assert (done.returncode, done.stderr.strip()) == (0, "")
    typo = here / "batchgate-web.service"
    typo.write_text(typo.read_text().replace("Restart=always", "Restart=sometimes"))
    assert "sometimes" in analyze("verify", str(typo)).stderr


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_services_may_do_little(path: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED}", str(path))
    assert done.returncode == 0, done.stdout


def test_time_to_stop_is_what_each_process_may_take() -> None:
    defaults = from_environment({})
    least = {
        "batchgate-web": TRANSFERS_S,
        "batchgate-worker": defaults.drain_s,
        "batchgate-celery": defaults.task_s + defaults.drain_s,
        "batchgate-beat": 0,
    }
    assert set(least) == {path.stem for path in SERVICES}
    for path in SERVICES:
        assert int(service(path)["TimeoutStopSec"]) > least[path.stem]


def test_web_says_when_it_is_ready_and_stops_in_good_order(environment: dict[str, str], tmp_path: Path) -> None:
    command = service(ROOT / "deploy" / "systemd" / "batchgate-web.service")["ExecStart"]
    words = shlex.split(command.replace(INSTALLED, str(Path(sys.executable).parent)))
    [port] = ports.free(1)
    told = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(30)
        listener.bind(str(told))
        env = {"PATH": os.environ["PATH"], **environment, "PORT": str(port), "NOTIFY_SOCKET": str(told)}
        with subprocess.Popen(words, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
            try:
                assert b"READY=1" in listener.recv(4096)
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            finally:
                process.kill()
