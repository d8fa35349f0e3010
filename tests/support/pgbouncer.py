"""The real PgBouncer in transaction mode, before the server of the tests."""

import os
import shutil
import subprocess
from pathlib import Path

import psycopg

from tests.support import ports
from tests.support.waiting import until

CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""


class PgBouncer:
    """In front of the database at `url` while its `with` block runs; all clients share a few connections."""

    def __init__(self, folder: Path, url: str, *, connections: int = 4) -> None:
        found = psycopg.conninfo.conninfo_to_dict(url)
        self._folder = folder
        [port] = ports.free(1)
        server = " ".join(f"{name}={found[name]}" for name in ("host", "port", "user", "password") if found.get(name))
        self._socket = str(found["host"])
        folder.mkdir()
        text = CONFIGURATION.format(server=server, port=port, connections=connections)
        (folder / "pgbouncer.ini").write_text(text)
        self.url = f"postgresql://{found['user']}@127.0.0.1:{port}/{found['dbname']}"

    def __enter__(self) -> "PgBouncer":
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise RuntimeError("PgBouncer is needed: apt-get install pgbouncer")
        command = [program, str(self._folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # it refuses to run as root; the owner of the server's socket can reach that
            command[1:1] = ["-u", Path(self._socket).owner()]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, what="PgBouncer answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True
