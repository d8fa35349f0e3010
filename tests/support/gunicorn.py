"""The gateway under gunicorn, with the settings of production, and raw sockets to it."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping

from tests.support.waiting import until

_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")


class Gunicorn:
    """Runs while its `with` block does; `log` is what it has said so far."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "gunicorn", "wsgi:app", "-c", "deploy/gunicorn.conf.py"]
        small = {"PORT": "0", "WEB_CONCURRENCY": "1", "BATCHGATE_WEB_THREADS": "4", "BATCHGATE_LOG_LEVEL": "info"}
        full = {"PATH": os.environ["PATH"], **environment, **small}
        self._process = subprocess.Popen(command, env=full, stderr=subprocess.PIPE, text=True)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Gunicorn":
        self._reader.start()
        until(lambda: _LISTENING.search(self.log))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once: in good order it would wait for idle connections
        self._process.wait(30)
        self._reader.join(10)
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def log(self) -> str:
        return "".join(self._lines)

    @property
    def port(self) -> int:
        found = _LISTENING.search(self.log)
        assert found is not None
        return int(found[1])

    def connect(self) -> socket.socket:
        """A raw connection; nothing on it waits longer than 10 seconds."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def _read(self) -> None:
        assert self._process.stderr is not None
        self._lines.extend(iter(self._process.stderr.readline, ""))
