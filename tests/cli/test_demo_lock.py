"""Which store `make run` keeps away from."""

import os
import socket
from pathlib import Path

import pytest

from app.cli.demo import lock
from app.cli.shared.context import Refused
from app.data.batches import workers
from app.services.gateway import Gateway
from app.settings import Settings


@pytest.mark.one_database
def test_one_demo_holds_a_home(tmp_path: Path) -> None:
    with lock.held(tmp_path / "new"):
        with pytest.raises(Refused, match=rf"already runs on .*process {os.getpid()}"), lock.held(tmp_path / "new"):
            pass
        with lock.held(tmp_path / "other"):
            pass
    with lock.held(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new" / lock.FILE).stat().st_mode & 0o777 == 0o600


def test_a_store_with_a_live_worker_is_left_alone(gateway: Gateway, settings: Settings) -> None:
    lock.refuse_others(settings)
    here = socket.gethostname()[:255]
    with gateway.database.write() as connection:
        workers.register(connection, name="dead", host=here, pid=2**22 + 1)  # above the largest process id
    lock.refuse_others(settings)
    for host, pid in ((here, os.getpid()), ("elsewhere", 1)):
        with gateway.database.write() as connection:
            workers.register(connection, name="w", host=host, pid=pid)
        with pytest.raises(Refused, match=f"process {pid} on {host}"):
            lock.refuse_others(settings)
        with gateway.database.write() as connection:
            workers.unregister(connection, name="w")
