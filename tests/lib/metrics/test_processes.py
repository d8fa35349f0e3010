"""What the processes of a host have counted is one sum, which never falls, whoever dies."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from app.lib.metrics.declared import LINES, REQUEST_SECONDS
from app.lib.metrics.processes import ENDED, HostRecorder

pytestmark = pytest.mark.one_database
KEY = ("batchgate_lines_total", "gateway", "completed")


class Log:
    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, event: str, **_: object) -> None:
        self.said.append(event)


def recorder(folder: Path, log: Log | None = None) -> HostRecorder:
    made = HostRecorder(folder, log=log or Log())
    made.start()
    return made


def in_a_process(act: Callable[[], None]) -> int:
    """Run `act` in a process that then stays; returns its id."""
    ready, written = os.pipe()
    pid = os.fork()
    if not pid:
        act()
        os.write(written, b"x")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(written)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def count(folder: Path, times: int) -> None:
    mine = recorder(folder)
    mine.count(LINES, "gateway", "completed", by=times)
    mine.save()


def test_a_scrape_sums_all_processes_and_none_falls_when_one_is_killed(tmp_path: Path) -> None:
    mine = recorder(tmp_path)
    mine.count(LINES, "gateway", "completed")
    pids = [in_a_process(lambda: count(tmp_path, 10)) for _ in range(2)]
    assert mine.host_totals()[KEY] == [21.0]
    kill(pids[0])
    assert [mine.host_totals()[KEY] for _ in range(2)] == [[21.0], [21.0]]
    assert len(list(tmp_path.glob("*.lock"))) == 2  # those that live: the files of dead processes go
    kill(pids[1])
    other = recorder(tmp_path)  # whoever starts finds it, too
    assert other.host_totals()[KEY] == [20.0]  # the first one has written nothing yet
    mine.close()
    assert other.host_totals()[KEY] == [21.0]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".json", ".lock"]  # guard, ended, its own lock
    other.close()


def test_nobody_is_counted_twice_when_a_process_dies_between_two_writes(tmp_path: Path) -> None:
    pid = in_a_process(lambda: count(tmp_path, 10))
    kill(pid)
    dead = next(path.stem for path in tmp_path.glob("*.lock"))
    mine = recorder(tmp_path)
    assert mine.host_totals()[KEY] == [10.0]
    # As after a crash before the deletion: the sum is written, and the files of the dead are still there.
    ended = (tmp_path / ENDED).read_text()
    (tmp_path / ENDED).write_text(ended.replace('"folded":[]', f'"folded":["{dead}"]'))
    (tmp_path / f"{dead}.json").write_text(ended)
    (tmp_path / f"{dead}.lock").touch()
    assert [mine.host_totals()[KEY] for _ in range(2)] == [[10.0], [10.0]]
    mine.close()


def test_a_folder_that_cannot_be_used_is_said_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = Log()
    mine = recorder(tmp_path / "file", log)
    mine.count(LINES, "gateway", "completed")
    mine.save()
    assert mine.host_totals()[KEY] == [1.0]
    assert log.said == ["metrics.not_shared"]
    (tmp_path / "file").unlink()
    mine.save()  # it works again, without a restart
    assert (tmp_path / "file" / "guard").exists()
    mine.close()


def test_files_of_another_release_or_cut_short_are_left_out(tmp_path: Path) -> None:
    mine = recorder(tmp_path)
    mine.observe(REQUEST_SECONDS, 0.2, "file_list")
    pid = in_a_process(lambda: count(tmp_path, 10))
    other = next(path for path in tmp_path.glob("*.json"))
    other.write_text('{"totals":[[["batchgate_request_seconds","file_list"],[1,2]]],"folded":[]}')
    totals = mine.host_totals()
    assert len(totals[("batchgate_request_seconds", "file_list")]) == len(REQUEST_SECONDS.buckets) + 2
    other.write_text('{"totals":[[["batch')
    assert KEY not in mine.host_totals()
    kill(pid)
    mine.close()


def test_metrics_that_are_off_cost_nothing_and_write_nothing(tmp_path: Path) -> None:
    off = HostRecorder()
    off.start()
    off.count(LINES, "gateway", "completed")
    off.observe(REQUEST_SECONDS, 1.0, "file_list")
    off.save()
    off.close()
    assert off.host_totals() == {}
    assert list(tmp_path.iterdir()) == []
