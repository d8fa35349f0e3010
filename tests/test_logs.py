"""Logs: one JSON object per event, without secrets."""

import json
import logging
import os
import subprocess
import sys
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
