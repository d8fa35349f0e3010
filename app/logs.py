"""Structured logs on standard error: one event for each operation, JSON or text, never a secret.

Loggers of the standard library (gunicorn's, urllib3's) go through the same renderer, as event `log`.
"""

import logging
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
# Secrets that are a part of a value, such as those of issuers of tokens.
_HIDDEN: set[bytes] = set()
# A shorter value is more likely to be a word that stands in the line for another reason.
SECRET_MIN_LENGTH = 8
# Virtual keys and providers' keys by their shape, JWTs, bearer tokens, passwords in URLs.
JWT = rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
SHAPES = rb"""(?:(?<![A-Za-z0-9])sk-|(?i:bearer )|://[^\s:/@"]*:(?=[^\s/"]+@))(?:bf-[0-9a-f]+-)?[^\s"'@,\\]{8,}"""
REDACTED = b"[redacted]"
# The descriptor and not sys.stderr: whoever swaps that object must not break a logger in use.
OUTPUT = open(2, "wb", closefd=False)  # noqa: SIM115 - never closed


def configure(settings: Settings) -> None:
    """Set up structlog and the standard library's root logger. Loggers in use since before keep what they had."""
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
    """A logger as structlog's: `.info("constant.event", field=value)`. Fields that are None are left out."""
    return structlog.get_logger()


def hide(*secrets: str) -> None:
    """Blot these out of every line from now on, as they are and as JSON writes them."""
    for secret in secrets:
        _HIDDEN.update({secret.encode(), orjson.dumps(secret)[1:-1]})


def level(settings: Settings) -> int:
    """BATCHGATE_LOG_LEVEL as a number. Raises SettingsError."""
    if (found := LEVELS.get(settings.log_level.lower())) is None:
        raise SettingsError(f"BATCHGATE_LOG_LEVEL must be one of {', '.join(LEVELS)}, not {settings.log_level!r}.")
    return found


class Bridge(logging.Handler):
    """Hands records of the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record as event `log`, with its logger's name and its text."""
        exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
        get_logger().log(record.levelno, "log", logger=record.name, message=record.getMessage(), exc_info=exc_info)


def _processors(settings: Settings) -> list[Processor]:
    render = _text() if settings.log_format == "text" else _json
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _tidy,
        _redacted(render, settings.environment),
    ]


def _tidy(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """When, how grave and what come first; what has no value is left out."""
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


def _redacted(render: Processor, environment: Mapping[str, str]) -> Processor:
    """`render`, with everything blotted out that looks like a secret or is one of the environment's."""
    known = sorted(
        {
            value.strip()
            for name, value in environment.items()
            if SECRET_NAME.search(name) and len(value.strip()) >= SECRET_MIN_LENGTH
        },
        key=len,
        reverse=True,
    )
    pattern = re.compile(b"|".join([*(re.escape(value.encode()) for value in known), JWT, SHAPES]))

    def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
        line = render(logger, method, event)
        for secret in tuple(_HIDDEN):
            line = line.replace(secret, REDACTED)
        return pattern.sub(REDACTED, line)

    return redact
