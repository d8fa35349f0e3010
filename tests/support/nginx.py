"""The real nginx with deploy/nginx.conf, of which only ports and folders are others."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support import ports
from tests.support.waiting import until

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
# What Debian's nginx.conf has around the files of conf.d, as far as it plays a role here.
AROUND = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/batchgate.conf;
}}
"""


class Nginx:
    """In front of the gateways at `servers` while its `with` block runs; it sends blobs of the folder `blobs`."""

    def __init__(self, folder: Path, *, servers: Sequence[str], blobs: Path) -> None:
        self.folder = folder
        [self.port] = ports.free(1)
        folder.mkdir()
        text = CONFIGURATION.read_text()
        for old, new in (
            ("server 127.0.0.1:8080;", "".join(f"server {address};" for address in servers)),
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("alias /srv/batchgate/var/blobs/;", f"alias {blobs}/;"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "batchgate.conf").write_text(text)
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder))

    def __enter__(self) -> "Nginx":
        command = ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-e", f"{self.folder}/error.log"]
        command += ["-g", "user root;"]  # the folders of a test are this user's alone
        try:
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        except FileNotFoundError as error:
            raise RuntimeError("nginx is needed: apt-get install nginx-light") from error
        try:
            until(self._answers, what=f"nginx listens ({self.errors})")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def errors(self) -> str:
        """What nginx has complained about so far."""
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A raw connection; nothing on it waits longer than 10 seconds."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.errors
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
