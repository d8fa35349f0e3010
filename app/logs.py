"""Structured logs on standard error: one event per operation, as JSON or text, with secrets redacted.

Standard library loggers (gunicorn's, urllib3's) use the same renderer, as event `log`.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import orjson
import structlog

from app.settings import Settings, SettingsError

Processor = Callable[[Any, str, MutableMapping[str, Any]], Any]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$")
# Secrets within a variable's value, such as those of JWT issuers.
_HIDDEN: set[bytes] = set()
# Shorter values are likely to be ordinary words.
MIN_SECRET_LENGTH = 8
# Patterns of virtual keys, providers' keys, JWTs, bearer tokens and passwords in URLs.
JWT = rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
SHAPES = rb"""(?:(?<![A-Za-z0-9])sk-|(?i:bearer )|://[^\s:/@"]*:(?=[^\s/"]+@))(?:bf-[0-9a-f]+-)?[^\s"'@,\\]{8,}"""
REDACTED = b"[redacted]"


class Output:
    """Writes to a file descriptor, line by line. A line that cannot be written is lost, and never the request for it.

    That is so while a pipe is closed or a disk is full. The first line that can be written again says how many are
    missing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0

    def write(self, data: bytes) -> int:
        """Write all of `data`, or lose it."""
        try:
            if self._lost:
                self._write(orjson.dumps({"level": "warning", "event": "log.lost", "lines": self._lost}) + b"\n")
                self._lost = 0
            self._write(data)
        except OSError:
            self._lost += 1
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]


def _stderr() -> int:
    """Standard error, and nothing else: if it was closed, the next file to be opened would get its number."""
    try:
        os.fstat(STDERR)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != STDERR:
            os.dup2(nowhere, STDERR)
            os.close(nowhere)
    return STDERR


STDERR = 2
# The file descriptor, not sys.stderr: replacing that object must not break a logger in use.
OUTPUT: Any = Output(_stderr())


def configure(settings: Settings) -> None:
    """Configure structlog and the standard library's root logger. Loggers already in use keep their configuration."""
    structlog.configure(
        processors=_processors(settings),
        wrapper_class=structlog.make_filtering_bound_logger(level(settings)),
        logger_factory=structlog.BytesLoggerFactory(file=OUTPUT),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, Bridge) for handler in root.handlers):
        root.addHandler(Bridge())


def get_logger() -> Any:
    """Return a structlog logger: `.info("constant.event", field=value)`. Fields that are None are omitted."""
    return structlog.get_logger()


def hide(*secrets: str) -> None:
    """Redact these secrets in all later log lines, verbatim and JSON-escaped."""
    for secret in secrets:
        _HIDDEN.update({secret.encode(), orjson.dumps(secret)[1:-1]})


def level(settings: Settings) -> int:
    """Return BATCHGATE_LOG_LEVEL as a number. Raises SettingsError."""
    if (number := LEVELS.get(settings.log_level.lower())) is None:
        raise SettingsError(f"BATCHGATE_LOG_LEVEL must be one of {', '.join(LEVELS)}, not {settings.log_level!r}.")
    return number


class Bridge(logging.Handler):
    """Passes standard library log records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as event `log`, with its logger's name and message."""
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args!r}"  # a library's mistake in a format must not fail its call
        get_logger().log(record.levelno, "log", logger=record.name, message=message, exc_info=exc_info)


def _processors(settings: Settings) -> list[Processor]:
    render = _text() if settings.log_format == "text" else _json
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _order,
        _redacting(render, settings.environment),
    ]


def _order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put time, level and event first, and omit fields that are None."""
    head = {"time": event.pop("time"), "level": event.pop("level"), "event": event.pop("event")}
    head.update((key, value) for key, value in event.items() if value is not None)
    return head


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _text() -> Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), timestamp_key="time", pad_event_to=24, sort_keys=False
    )

    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
        event["time"] = event["time"][11:19]
        return str(console(logger, method, event)).encode("utf-8", "backslashreplace")

    return render


def _redacting(render: Processor, environment: Mapping[str, str]) -> Processor:
    """Wrap `render`: redact what looks like a secret, and the environment's secrets."""
    known = sorted(
        {
            value.strip()
            for name, value in environment.items()
            if SECRET_NAME.search(name) and len(value.strip()) >= MIN_SECRET_LENGTH
        },
        key=len,
        reverse=True,
    )
    pattern = re.compile(b"|".join([*(re.escape(value.encode()) for value in known), JWT, SHAPES]))

    def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
        try:
            line = render(logger, method, event)
        except (TypeError, ValueError) as error:
            # Such as half of a surrogate pair in a provider's text, or a number that JSON cannot hold.
            line = orjson.dumps({"event": "log.not_rendered", "reason": str(error), "text": ascii(event)})
        for secret in tuple(_HIDDEN):
            line = line.replace(secret, REDACTED)
        return pattern.sub(REDACTED, line)

    return redact
