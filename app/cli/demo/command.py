"""`batchgate demo` (run by `make run`): the gateway, a worker and a real model on this machine."""

import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import click
import requests

import app as batchgate
from app.cli.demo import lock
from app.cli.demo.model import HOST, SLOTS, port_is_free, weights
from app.cli.demo.supervisor import Child, Supervisor
from app.cli.demo.terminal import foreground
from app.cli.shared import context, profile
from app.lib.threads import signals
from app.services.access import keys
from app.settings import Settings

ROOT = Path(batchgate.__file__).resolve().parent.parent
PROJECT = "demo"
READY_S = 90.0
GRACE_S = 10.0
POLL_S = 0.1
# Settings for one person on one machine, unless the environment sets them.
DEFAULTS = {
    "BATCHGATE_DEFAULT_PROVIDER": "local",
    "BATCHGATE_DRAIN_SECONDS": "3",
    "BATCHGATE_LOG_FORMAT": "text",
    "BATCHGATE_LOG_LEVEL": "warning",
    "LOCAL_MAX_CONCURRENCY": str(SLOTS),
}


@click.command()
def demo() -> None:
    """Run a gateway with a small real model here.

    Starts the gateway, a worker and the model, and stops them at Ctrl-C. The store (by default SQLite in `var/`) is
    kept for the next run. If LOCAL_BASE_URL is set, that server is used instead of the model.

    \b
    Examples:
      batchgate demo
      PORT=8090 BATCHGATE_LOG_LEVEL=info batchgate demo
      LOCAL_BASE_URL=http://127.0.0.1:11434/v1 batchgate demo
    """
    os.environ.update({name: value for name, value in DEFAULTS.items() if name not in os.environ})
    settings = context.settings()
    with lock.held(settings.home):
        raise SystemExit(_serve(settings))


def _serve(settings: Settings) -> int:
    if not port_is_free(settings.port):
        raise context.Refused(f"Port {settings.port} is in use. Choose another: PORT={settings.port + 10} make run")
    children = [_web(settings), _command("worker", "worker")]
    if not os.environ.get("LOCAL_BASE_URL"):
        weights()
        port = _free_port()
        os.environ["LOCAL_BASE_URL"] = f"http://{HOST}:{port}/v1"
        children.append(_command("model", "demo-model", "--port", str(port), rank=1))
    with context.plain_errors():
        click.echo(f"Preparing the store in {settings.home} ...")
        context.upgrade(settings)
        lock.refuse_others(settings)
    with foreground():
        return _run(replace(settings, environment=dict(os.environ)), children)


def _run(settings: Settings, children: list[Child]) -> int:
    stopping, hurry = threading.Event(), threading.Event()
    environment = os.environ | {"BATCHGATE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    click.echo(f"Starting {', '.join(child.name for child in children)} ...")
    supervisor = Supervisor(children, environment=environment)
    signals.handle((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stopping.set, hurry.set)
    try:
        return _until_stopped(settings, supervisor, stopping)
    finally:
        click.echo("Stopping ...")
        supervisor.stop(grace_s=GRACE_S, hurry=hurry)


def _until_stopped(settings: Settings, supervisor: Supervisor, stopping: threading.Event) -> int:
    """Waits until everything is ready, says so, then waits for a signal; returns the exit status."""
    started = time.monotonic()
    url = f"http://{HOST}:{settings.port}"
    is_announced = False
    while not stopping.wait(POLL_S):
        if ended := supervisor.ended():
            click.echo(f"The {ended[0]} process ended with status {ended[1]}.", err=True)
            return 1
        if is_announced:
            continue
        if _is_ready(url, after_s=time.monotonic() - started):
            _announce(settings, _profile(settings, url))
            is_announced = True
        elif time.monotonic() - started > READY_S:
            click.echo(
                f"Not ready after {READY_S:.0f} s. Run again with BATCHGATE_LOG_LEVEL=info to see why.", err=True
            )
            return 1
    return 0


def _is_ready(url: str, *, after_s: float) -> bool:
    """Returns True when the gateway and the model answer and a worker of this run is active."""
    try:
        report = requests.get(f"{url}/readyz", timeout=2)
        seen = report.json().get("worker_seen_seconds_ago")
        models = requests.get(f"{os.environ['LOCAL_BASE_URL']}/models", timeout=2)
    except (requests.RequestException, ValueError):
        return False
    return report.status_code == 200 and seen is not None and seen <= after_s and models.status_code < 500


def _profile(settings: Settings, url: str) -> profile.Profile:
    """Returns the key of the last run if it is still valid, else a new one; saves it for other commands."""
    kept = profile.load(settings.home)
    if kept and _opens(url, kept.api_key):
        current = replace(kept, base_url=url)
    else:
        with context.gateway() as gateway:
            issued = keys.create(gateway, project=PROJECT, name="make run")
        current = profile.Profile(base_url=url, api_key=issued.key)
    profile.save(settings.home, current)
    return current


def _opens(url: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        return requests.get(f"{url}/v1/files?limit=1", headers=headers, timeout=10).status_code == 200
    except (requests.RequestException, UnicodeError):
        return False


def _announce(settings: Settings, current: profile.Profile) -> None:
    click.echo(f"""
Batchgate is ready at {current.base_url}

  virtual key  {current.api_key}
  provider     local, at {os.environ["LOCAL_BASE_URL"]}
  store        {settings.home}  (`make sql` opens a prompt)
  dashboard    {current.base_url}/ui  (sign in with the virtual key)

Run a batch of 20 questions, in another terminal:

  {_relative(Path(sys.executable).with_name("batchgate"))} batch run {_relative(ROOT / "examples" / "chat.jsonl")}

Or use the OpenAI SDK, with the variables that it reads:

  . {_relative(settings.home / profile.SHELL_FILE)}
  {_relative(Path(sys.executable))} {_relative(ROOT / "examples" / "openai_sdk.py")}

Ctrl-C stops everything; the store stays.
""")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _web(settings: Settings) -> Child:
    options = ["-c", str(ROOT / "deploy" / "gunicorn.conf.py"), "--pythonpath", str(ROOT)]
    bind = ["--bind", f"{HOST}:{settings.port}"]
    return Child("web", [sys.executable, "-m", "gunicorn", "wsgi:app", *options, *bind])


def _command(name: str, *arguments: str, rank: int = 0) -> Child:
    return Child(name, [sys.executable, "-m", "app.cli", *arguments], rank=rank)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
