"""Run the steps of a Dockerfile in clean root file systems, without Docker: `python -m tools.clean_root --help`.

Every stage begins as what debootstrap makes of `FROM debian:NAME-slim`, the minimal system. RUN, COPY, ENV, WORKDIR and
USER do what they say; other instructions are for Docker alone. The last stage is then started: the store is migrated,
the program of CMD is run as USER on loopback until the command of HEALTHCHECK agrees, and asked to stop.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
IMAGE = re.compile(r"debian:([a-z]+)-slim")
HEALTHY_S = 60.0
STOP_S = 150.0
# What a step needs to reach the registries from this host: name servers, how pip is set up, certificates (which may not
# lie where Debian's own do: a step may install those).
FROM_HOST = ("/etc/resolv.conf", "/etc/xdg/pip")
CERTIFICATES, CERTIFICATES_INSIDE = "/etc/ssl/certs/ca-certificates.crt", "/run/certificates-of-host.crt"


@dataclass(slots=True)
class Stage:
    """A root file system, and what later steps take over from earlier ones."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    folder: str = "/"
    user: str = "0:0"
    command: Sequence[str] = ()
    check: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """How steps reach the network of this host: what is bound where, read-only, and variables that are passed on."""

    binds: dict[str, str]
    environment: dict[str, str]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction of a Dockerfile with its arguments, continued lines joined, comments left out."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", kept).splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name.upper(), arguments.strip()


def ignored(path: str, patterns: Sequence[str]) -> bool:
    """True if a .dockerignore of `*` and exceptions (`!app`) leaves out `path`."""
    named = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    return not any(path == name or path.startswith(f"{name}/") for name in named)


def build(file: Path, folder: Path, host: Host) -> Stage:
    """Run all stages below `folder`; returns the last one. Raises CalledProcessError when a step fails."""
    patterns = file.with_name(f"{file.name}.dockerignore").read_text().split()
    stages: list[Stage] = []
    names: dict[str, Stage] = {}
    for name, arguments in instructions(file.read_text()):
        _say(f"{name} {arguments:.140}")
        if name == "FROM":
            image, *rest = arguments.split()
            stages.append(Stage(_debian(image, folder, len(stages), host)))
            if rest:
                names[rest[1]] = stages[-1]
        elif name == "COPY":
            _copy(stages[-1], arguments, names, patterns)
        else:
            _step(stages[-1], name, arguments, host)
    return stages[-1]


def _step(stage: Stage, name: str, arguments: str, host: Host) -> None:
    if name == "RUN":
        subprocess.run(_inside(stage, ["/bin/sh", "-c", arguments], host), env=_environment(stage, host), check=True)
    elif name == "ENV":
        stage.environment |= dict(word.split("=", 1) for word in shlex.split(arguments))
    elif name == "WORKDIR":
        stage.folder = arguments
        (stage.root / arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        stage.user = arguments
    elif name == "CMD":
        stage.command = json.loads(arguments)
    elif name == "HEALTHCHECK":
        stage.check = json.loads(arguments.partition("CMD ")[2])
    elif name != "EXPOSE":
        raise ValueError(f"{name} is an instruction that this tool does not know: add it to tools/clean_root.py.")


def _debian(image: str, folder: Path, number: int, host: Host) -> Path:
    found = IMAGE.fullmatch(image)
    if found is None:
        raise ValueError(f"FROM {image}: this tool knows debian:NAME-slim only.")
    base, root = folder / found[1], folder / f"stage-{number}"
    if not base.exists():
        subprocess.run(["debootstrap", "--variant=minbase", found[1], str(base)], check=True, stdout=sys.stderr)
    subprocess.run(["cp", "--archive", str(base), str(root)], check=True)
    for path, inside in host.binds.items():
        target = root / inside.lstrip("/")
        if Path(path).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.touch()
    return root


def _copy(stage: Stage, arguments: str, names: dict[str, Stage], patterns: Sequence[str]) -> None:
    *options, target = shlex.split(arguments)
    origin = REPOSITORY
    if options[0].startswith("--from="):
        origin = names[options.pop(0).removeprefix("--from=")].root
    goal = stage.root / (Path(stage.folder) / target).as_posix().lstrip("/")
    for option in options:
        if origin == REPOSITORY and ignored(option.strip("/"), patterns):
            raise ValueError(f"COPY {option}: the .dockerignore leaves it out.")
        source = origin / option.lstrip("/")
        if source.is_dir():  # its contents, as Docker does
            shutil.copytree(
                source, goal, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            (goal if target.endswith("/") else goal.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, goal)


def _inside(stage: Stage, command: Sequence[str], host: Host) -> list[str]:
    """The command that runs `command` in the root, with /proc, /dev and what is bound from the host."""
    root = stage.root
    mounts = [f"mount --rbind /dev {root}/dev", f"mount -t proc proc {root}/proc"]
    mounts += [f"mount --bind -o ro {path} {root}{inside}" for path, inside in host.binds.items()]
    words = shlex.join(command)
    within = shlex.quote(f"cd {stage.folder} && exec {words}")
    entered = f"exec {shutil.which('chroot')} --userspec={stage.user} {root} /bin/sh -c {within}"
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join([*mounts, entered])]


def _environment(stage: Stage, host: Host) -> dict[str, str]:
    return host.environment | stage.environment


def start(stage: Stage, host: Host, *, port: int) -> None:
    """Migrate, start, wait until healthy, stop. Raises RuntimeError or CalledProcessError if one of them fails."""
    environment = stage.environment | {"PORT": str(port), "BATCHGATE_BIND": "127.0.0.1"}
    alone = Host({}, {})
    subprocess.run(_inside(stage, ["batchgate", "release"], alone), env=environment, check=True)
    with subprocess.Popen(_inside(stage, stage.command, alone), env=environment) as process:
        try:
            deadline = time.monotonic() + HEALTHY_S
            check = _inside(stage, stage.check, alone)
            while subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, check=False).returncode:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{' '.join(stage.command)} did not become healthy.")
                time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_S):
                raise RuntimeError(f"{' '.join(stage.command)} ended with status {process.returncode}.")
        finally:
            process.kill()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what the tool is for


def main() -> int:
    """Run the steps; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.clean_root", description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty folder for the root file systems: 2 GB")
    parser.add_argument("--file", type=Path, default=REPOSITORY / "deploy" / "docker" / "Dockerfile")
    parser.add_argument(
        "--port", type=int, default=18080, help="port of 127.0.0.1 for the program (default: %(default)s)"
    )
    parser.add_argument(
        "--bind", action="append", default=[], metavar="PATH", help="show this path of the host to steps"
    )
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        parser.error("it needs root, for chroot, and debootstrap: apt-get install debootstrap")
    options.folder.mkdir(parents=True, exist_ok=True)
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    binds = {path: path for path in (*FROM_HOST, *options.bind) if Path(path).exists()}
    if Path(CERTIFICATES).exists():
        binds[CERTIFICATES] = passed["PIP_CERT"] = CERTIFICATES_INSIDE
    host = Host(binds, passed)
    stage = build(options.file, options.folder.resolve(), host)
    start(stage, host, port=options.port)
    _say(f"All steps ran, and {stage.command[0]} became healthy as {stage.user} in {stage.root}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
