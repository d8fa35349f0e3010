"""Logs: one JSON object per event, without secrets."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app import logs
from app.settings import SettingsError, from_environment

KEY = "sk-bf-0123456789abcdef-AbCdEfGhIjKlMnOpQrStUvWxYz-_0123456789abcdefghi"


def configure(**environment: str) -> None:
    logs.configure(from_environment({"BATCHGATE_LOG_FORMAT": "json", **environment}))


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_an_event_is_one_json_object_without_empty_fields(capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    logs.get_logger().info("file_upload", status=200, object=None)

    (event,) = lines(capfd)
    assert list(event) == ["time", "level", "event", "status"]
    assert (event["level"], event["event"], event["status"]) == ("info", "file_upload", 200)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"Authorization: Bearer {KEY}",
        "Bearer eyJhbGciOiJIUzI1NiJ9",
        "sk-proj-0123456789",
        "postgresql://me:0123456789@host/db",
        "provider-secret-1",
    ],
)
def test_a_secret_never_reaches_the_log(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    configure(OPENAI_API_KEY="provider-secret-1")
    logs.get_logger().error("request.failed", error=text, nested={"headers": [text]})
    logs.get_logger().error("request.failed", exc_info=ValueError(text))

    output = capfd.readouterr().err
    assert "[redacted]" in output
    for secret in ("AbCdEfGh", "eyJ", "0123456789", "provider-secret"):
        assert secret not in output.replace("0123456789abcdef-", "")


def test_text_that_resembles_a_secret_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    logs.get_logger().info("line", custom_id="task-0123456789", url="http://127.0.0.1:8080/v1/files")

    (event,) = lines(capfd)
    assert event["custom_id"] == "task-0123456789"
    assert event["url"] == "http://127.0.0.1:8080/v1/files"


def test_standard_library_loggers_use_the_same_format(capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    logging.getLogger("some.library").warning("pool of %s is full", "host")

    (event,) = lines(capfd)
    assert (event["event"], event["logger"], event["message"]) == ("log", "some.library", "pool of host is full")


def test_text_format_is_human_readable(capfd: pytest.CaptureFixture[str]) -> None:
    configure(BATCHGATE_LOG_FORMAT="text")
    logs.get_logger().warning("worker.waiting", reason="migrations")

    output = capfd.readouterr().err
    assert "worker.waiting" in output
    assert "reason=migrations" in output


def test_an_unknown_level_is_rejected() -> None:
    with pytest.raises(SettingsError, match="BATCHGATE_LOG_LEVEL"):
        configure(BATCHGATE_LOG_LEVEL="loud")


def test_a_line_that_cannot_be_written_is_lost_and_counted(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    reading, closed = os.pipe()
    os.close(reading)
    for descriptor in (full, closed):
        output = logs.Output(descriptor)
        assert [output.write(b"one\n"), output.write(b"two\n")] == [4, 4]
        os.dup2(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        output.write(b"three\n")
        output.write(b"four\n")
        told, *rest = (tmp_path / "log").read_text().splitlines()
        assert (json.loads(told)["event"], json.loads(told)["lines"]) == ("log.lost", 2)
        assert rest == ["three", "four"]
        os.close(descriptor)


def pairs() -> Iterator[tuple[str, int, int]]:
    """(kind, end to read, end to write) of what standard error may be, beside a file."""
    yield ("pipe", *os.pipe())
    yield ("terminal", *os.openpty())
    ends = socket.socketpair()
    yield ("socket", ends[0].detach(), ends[1].detach())


def test_what_nobody_reads_holds_up_no_line_and_is_whole_again_afterwards() -> None:
    for kind, reading, writing in pairs():
        if kind == "terminal":
            tty.setraw(writing)
        output = logs.Output(writing)
        for number in range(5_000):  # more than fits anywhere, or this never ends
            output.write(b'{"event": "line", "number": %d, "text": "%b"}\n' % (number, b"x" * 100))
        os.set_blocking(reading, False)
        data = b""
        while b"log.lost" not in data:
            with suppress(BlockingIOError):
                while piece := os.read(reading, 65536):
                    data += piece
            output.write(b'{"event": "after"}\n')
        found = [json.loads(line) for line in data.splitlines()[:-1] or []]
        kept = [line["number"] for line in found if line["event"] == "line"]
        (lost,) = [line["lines"] for line in found if line["event"] == "log.lost"]
        assert kept == list(range(len(kept))), kind  # whole lines, in order
        assert lost >= 5_000 - len(kept) - 1 > 0, kind
        output.close()
        assert os.get_blocking(writing), "others have it open"
        os.close(reading)
        os.close(writing)


def test_a_slow_reader_loses_nothing() -> None:
    for kind, reading, writing in pairs():
        if kind == "terminal":
            continue  # its buffer is a page
        read: list[bytes] = []

        def slowly(reading: int = reading, read: list[bytes] = read) -> None:
            while piece := os.read(reading, 3000):
                read.append(piece)

        thread = threading.Thread(target=slowly)
        thread.start()
        output = logs.Output(writing)
        for number in range(5000):
            output.write(b"%06d %b\n" % (number, b"x" * (number % 9000)))
        output.close()
        os.close(writing)
        thread.join()
        os.close(reading)
        lines_read = b"".join(read).splitlines()
        assert [int(line[:6]) for line in lines_read] == list(range(5000)), kind
        assert len(lines_read[4999]) == 7 + 4999


def test_a_process_whose_standard_error_nobody_reads_goes_on_and_ends() -> None:
    program = (
        "from app import logs; from app.settings import from_environment; logs.configure(from_environment({}));"
        "[logs.get_logger().warning('x', text='y' * 1000) for _ in range(500)]; print('end')"
    )
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writing, check=True, timeout=300
    )
    assert done.stdout == b"end\n"
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("value", ["half of a pair \ud83d", 2**70, {"a": {2**70: "\udc00"}}])
def test_whatever_is_logged_some_line_is_written(
    log_format: str, value: object, capfd: pytest.CaptureFixture[str]
) -> None:
    configure(BATCHGATE_LOG_FORMAT=log_format)
    logs.get_logger().warning("line.failed", error=value, key=KEY)

    output = capfd.readouterr().err
    assert "line.failed" in output
    assert "AbCdEfGh" not in output


def test_a_closed_standard_error_does_not_become_another_file(tmp_path: Path) -> None:
    program = "import sys; from app import logs; f = open(sys.argv[1], 'w'); logs.get_logger().warning('x'); f.close()"
    script = f'{sys.executable} -c "{program}" {tmp_path / "file"} 2>&-'
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 0
    assert (tmp_path / "file").read_text() == ""


def test_a_message_with_a_wrong_format_is_logged_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    configure()
    record = logging.LogRecord("some.library", logging.WARNING, __file__, 1, "%d lines", ("many",), None)
    logs.Bridge().emit(record)
    assert "%d lines" in capfd.readouterr().err
