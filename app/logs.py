"""Structured logs on standard error: one event per operation, as JSON or text, with secrets redacted.

Standard library loggers (gunicorn's, urllib3's) use the same renderer, as event `log`.
"""

import logging
import os
import re
import select
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

import orjson

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
# How long a line waits for a slow reader, and for how long no line does after one was lost.
MAX_WAIT_S = 0.5
IMPATIENT_S = 10.0


class Output:
    """Writes to a file descriptor, line by line. A line that cannot be written is lost, and never the request for it.

    That is so while a pipe is closed, a disk is full, or nobody reads what is written. The first line that can be
    written again says how many are missing. A reader that is slow is waited for, but not for long, and not again
    while lines are lost. Nothing is kept but the rest of a line that was written in part.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0
        self._patient_at = 0.0
        self._rest = b""
        self._opened: _Opened | None = None

    def write(self, data: bytes) -> int:
        """Write all of `data`, or lose it."""
        try:
            if self._rest or self._lost:
                self._write_missed()
            self._write(data)
        except OSError as error:
            self._lost += 1
            if isinstance(error, BlockingIOError):
                self._patient_at = time.monotonic() + IMPATIENT_S
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Close what was opened to write; the descriptor stays open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _write_missed(self) -> None:
        rest, self._rest = self._rest, b""
        try:
            self._write(rest)
        except OSError:
            self._rest = self._rest or rest  # else its beginning would run into the next line
            raise
        if self._lost:
            self._write(orjson.dumps({"level": "warning", "event": "log.lost", "lines": self._lost}) + b"\n")
            self._lost = 0

    def _write(self, data: bytes) -> None:
        opened = self._open()
        ends = time.monotonic() + MAX_WAIT_S
        left = memoryview(data)
        while left:
            try:
                left = left[opened.write(left) :]
            except BlockingIOError:
                now = time.monotonic()
                if now >= ends or now < self._patient_at or not opened.wait(ends - now):
                    self._rest = bytes(left) if len(left) < len(data) else b""
                    raise

    def _open(self) -> "_Opened":
        status = os.fstat(self._descriptor)  # it may be another file by now
        if self._opened is None or not self._opened.is_of(status):
            self.close()
            self._opened = _Opened(self._descriptor, status)
        return self._opened


class _Opened:
    """A file that is written without blocking. Others have it open, too, so its own flags stay as they are."""

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self._same = (status.st_dev, status.st_ino)
        self._own: int | None = None
        self._socket: socket.socket | None = None
        self._descriptor = descriptor
        self._may_block = stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)
        if stat.S_ISSOCK(status.st_mode):
            self._socket = socket.socket(fileno=os.dup(descriptor))
        elif self._may_block:
            with suppress(OSError):  # not on every system, and not for a terminal of another user
                self._own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def is_of(self, status: os.stat_result) -> bool:
        """True while the descriptor is still this file."""
        return self._same == (status.st_dev, status.st_ino)

    def write(self, data: memoryview) -> int:
        """Write a part of `data`. Raises BlockingIOError when there is no room, and what goes wrong."""
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        if self._own is not None:
            return os.write(self._own, data)
        if self._may_block:
            if not self.wait(0.0):
                raise BlockingIOError
            data = data[: select.PIPE_BUF]
        return os.write(self._descriptor, data)

    def wait(self, seconds: float) -> bool:
        """Wait until there is room; False when there is none in time."""
        place = self._socket or self._own or self._descriptor
        poll = select.poll()
        poll.register(place, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Close what was opened."""
        if self._socket is not None:
            self._socket.close()
        if self._own is not None:
            os.close(self._own)


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
    """Configure the log and the standard library's root logger. Loggers already in use keep their configuration.

    Raises SettingsError. structlog is imported with the first line only: most commands log nothing.
    """
    level(settings)
    _waiting[:] = [settings]
    root = logging.getLogger()
    if not any(isinstance(handler, Bridge) for handler in root.handlers):
        root.addHandler(Bridge())


def get_logger() -> Any:
    """Return a structlog logger: `.info("constant.event", field=value)`. Fields that are None are omitted."""
    return _Logger()


_waiting: list[Settings] = []


class _Logger:
    """A structlog logger from its first line on."""

    def __getattr__(self, name: str) -> Any:
        import structlog

        if _waiting:
            settings = _waiting.pop()
            structlog.configure(
                processors=_processors(settings),
                wrapper_class=structlog.make_filtering_bound_logger(level(settings)),
                logger_factory=structlog.BytesLoggerFactory(file=OUTPUT),
                cache_logger_on_first_use=True,
            )
        logger = structlog.get_logger().bind()
        self.__dict__.update({each: getattr(logger, each) for each in (*LEVELS, "exception", "log")})
        return getattr(logger, name)


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
    import structlog

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
    import structlog

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
