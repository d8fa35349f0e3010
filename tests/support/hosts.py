"""Hosts as network namespaces on one bridge: processes run in them, and each can be cut off and healed. Needs root."""

import os
import secrets
import shutil
import subprocess
from types import TracebackType
from typing import Self

NET = "10.213.77"
HERE = f"{NET}.254"  # this process, on the same bridge


def why_not() -> str:
    """Why this machine can have no hosts; empty if it can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    name = f"bg-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "this machine allows no network namespaces"
    _ip("netns", "del", name)
    return ""


class Hosts:
    """So many hosts while the `with` block runs, numbered from 1; what is in them must end before."""

    def __init__(self, count: int) -> None:
        self._mark = f"bg{secrets.token_hex(2)}"
        self._lan = f"{self._mark}-lan"
        self._count = count

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self._lan)
            _ip("-n", self._lan, "link", "add", "br0", "type", "bridge")
            _ip("-n", self._lan, "link", "set", "br0", "up")
            _ip("link", "add", self._mark, "type", "veth", "peer", "name", "here", "netns", self._lan)
            self._plug("here")
            _ip("addr", "add", f"{HERE}/24", "dev", self._mark)
            _ip("link", "set", self._mark, "up")
            for number in range(1, self._count + 1):
                name = self._name(number)
                _ip("netns", "add", name)
                _ip("-n", self._lan, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
                self._plug(f"p{number}")
                _ip("-n", name, "addr", "add", f"{address(number)}/24", "dev", "eth0")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def within(self, number: int) -> tuple[str, ...]:
        """What a command begins with, so that it runs on a host."""
        return ("ip", "netns", "exec", self._name(number))

    def cut(self, number: int) -> None:
        """Let nothing through to a host and from it, without telling anybody."""
        subprocess.run(["bridge", "-n", self._lan, "link", "set", "dev", f"p{number}", "state", "disabled"], check=True)

    def heal(self, number: int) -> None:
        """Let everything through again."""
        subprocess.run(
            ["bridge", "-n", self._lan, "link", "set", "dev", f"p{number}", "state", "forwarding"], check=True
        )

    def _plug(self, device: str) -> None:
        _ip("-n", self._lan, "link", "set", device, "master", "br0", "up")

    def _name(self, number: int) -> str:
        return f"{self._mark}-h{number}"

    def _remove(self) -> None:
        names = [self._lan, *(self._name(number) for number in range(1, self._count + 1))]
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._mark], capture_output=True, check=False)


def address(number: int) -> str:
    """The address of a host."""
    return f"{NET}.{number}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
