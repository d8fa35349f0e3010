"""Why a call gave no HTTP answer, as UpstreamError; the same for management calls and for lines."""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions

from app.connectors.contract.errors import (
    AnswerTooLargeError,
    OverloadedError,
    UpstreamError,
    UpstreamServerError,
    UpstreamTimeoutError,
)

# The code of an error that is ours: a payload was not as long as it said. It tells nothing about the provider.
BAD_PAYLOAD = "bad_payload"
NOT_RESOLVED_YET = socket.EAI_AGAIN


def no_time_left() -> UpstreamTimeoutError:
    """The error of a call whose time was up before it began."""
    return UpstreamTimeoutError("No time was left to call the provider.", code="timeout", sent=False)


def not_connected(where: str, error: BaseException, *, timeout_s: float) -> UpstreamError:
    """The error of a connection that could not be made, so that nothing was sent.

    What passes by itself is overload; a wrong name or certificate is not.
    """
    causes = list(_causes(error))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        text = f"Connecting to {where} took longer than {timeout_s:g} s."
        return UpstreamTimeoutError(text, code="connect_timeout", sent=False)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            kind = OverloadedError if cause.errno == NOT_RESOLVED_YET else UpstreamServerError
            return kind(f"The name of {where} cannot be resolved.", code="connection_failed", sent=False)
        if isinstance(cause, ssl.SSLError | urllib3.exceptions.SSLError):
            text = f"TLS with {where} failed: {cause}."
            return UpstreamServerError(text, code="connection_failed", sent=False)
    reasons = [os.strerror(cause.errno) for cause in causes if isinstance(cause, OSError) and cause.errno]
    text = f"Cannot connect to {where}: {reasons[0] if reasons else type(error).__name__}."
    return OverloadedError(text, code="connection_failed", sent=False)


def no_room(where: str) -> UpstreamTimeoutError:
    """The error of an answer that was not read, because no memory became free for it in time."""
    text = f"The answer of {where} is large, and the worker had no memory free for it in time."
    return UpstreamTimeoutError(text, code="no_memory")


def timed_out(where: str) -> UpstreamTimeoutError:
    """The error of an answer that did not come, or not all of it, in time."""
    return UpstreamTimeoutError(f"No complete answer from {where} in time.", code="timeout")


def too_large(where: str, max_bytes: int) -> AnswerTooLargeError:
    """The error of an answer that is larger than the caller wants to hold."""
    return AnswerTooLargeError(f"The answer of {where} is larger than {max_bytes} bytes.", code="answer_too_large")


def bad_payload() -> UpstreamServerError:
    """The error of a payload that is longer or shorter than it says."""
    return UpstreamServerError("The length of the body to send differs from its declared length.", code=BAD_PAYLOAD)


def broken(where: str, error: BaseException) -> UpstreamError:
    """The error of a connection that broke, or did not speak HTTP, after (part of) the request may have been sent."""
    causes = list(_causes(error))
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes):
        return timed_out(where)
    if any(isinstance(cause, http.client.IncompleteRead) for cause in causes):
        text = f"The answer of {where} was cut short."
    elif any(isinstance(cause, ConnectionError) for cause in causes):
        text = f"{where} closed the connection before it answered."
    elif any(isinstance(cause, OSError) for cause in causes):
        text = f"The connection to {where} broke."
    else:
        text = f"{where} did not answer in HTTP."
    return UpstreamServerError(text, code="connection_broken")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that it wraps: urllib3 and requests keep causes in `args`, `reason` and `__cause__`.

    The exceptions of requests itself are left out: they are OSErrors whatever happened.
    """
    seen: list[BaseException] = [error]
    for one in seen:
        if not isinstance(one, requests.RequestException):
            yield one
        inner = [*one.args, getattr(one, "reason", None), one.__cause__]
        seen += [cause for cause in inner if isinstance(cause, BaseException) and cause not in seen]
