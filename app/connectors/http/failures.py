"""Why a call gave no HTTP answer, as UpstreamError; the same for management calls and for lines.

Callers see the messages, so where a call went, which may be internal, is kept apart from them.
"""

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
NOT_CONNECTED = "connection_failed"
NOT_RESOLVED_YET = socket.EAI_AGAIN


def no_time_left() -> UpstreamTimeoutError:
    """The error of a call whose time was up before it began."""
    return UpstreamTimeoutError("No time was left to call the provider.", code="timeout", sent=False)


def not_connected(where: str, error: BaseException, *, timeout_s: float) -> UpstreamError:
    """The error of a connection that could not be made, so that nothing was sent.

    What passes by itself is overload; a wrong name or certificate is not.
    """
    found = list(causes(error))
    if any(isinstance(cause, TimeoutError) for cause in found):
        text = f"Connecting to the provider took longer than {timeout_s:g} s."
        return UpstreamTimeoutError(text, code="connect_timeout", sent=False, where=where)
    for cause in found:
        if isinstance(cause, socket.gaierror):
            kind = OverloadedError if cause.errno == NOT_RESOLVED_YET else UpstreamServerError
            return kind("The provider's host name cannot be resolved.", code=NOT_CONNECTED, sent=False, where=where)
        if isinstance(cause, ssl.SSLError | urllib3.exceptions.SSLError):
            details = f"{where}: {cause}"  # which names the host
            return UpstreamServerError("TLS with the provider failed.", code=NOT_CONNECTED, sent=False, where=details)
    reasons = [os.strerror(cause.errno) for cause in found if isinstance(cause, OSError) and cause.errno]
    text = f"Cannot connect to the provider: {reasons[0] if reasons else type(error).__name__}."
    return OverloadedError(text, code=NOT_CONNECTED, sent=False, where=where)


def no_room(where: str) -> UpstreamTimeoutError:
    """The error of an answer that was not read, because no memory became free for it in time."""
    text = "The provider's answer is large, and the worker had no memory free for it in time."
    return UpstreamTimeoutError(text, code="no_memory", where=where)


def timed_out(where: str) -> UpstreamTimeoutError:
    """The error of an answer that did not come, or not all of it, in time."""
    return UpstreamTimeoutError("No complete answer from the provider in time.", code="timeout", where=where)


def too_large(where: str, max_bytes: int) -> AnswerTooLargeError:
    """The error of an answer that is larger than the caller wants to hold."""
    text = f"The provider's answer is larger than {max_bytes} bytes."
    return AnswerTooLargeError(text, code="answer_too_large", where=where)


def bad_payload() -> UpstreamServerError:
    """The error of a payload that is longer or shorter than it says."""
    return UpstreamServerError("The length of the body to send differs from its declared length.", code=BAD_PAYLOAD)


def broken(where: str, error: BaseException) -> UpstreamError:
    """The error of a connection that broke, or did not speak HTTP, after (part of) the request may have been sent."""
    found = list(causes(error))
    if any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in found):
        return timed_out(where)
    if any(isinstance(cause, http.client.IncompleteRead) for cause in found):
        text = "The provider's answer was cut short."
    elif any(isinstance(cause, ConnectionError) for cause in found):
        text = "The provider closed the connection before it answered."
    elif any(isinstance(cause, OSError) for cause in found):
        text = "The connection to the provider broke."
    else:
        text = "The provider did not answer in HTTP."
    return UpstreamServerError(text, code="connection_broken", where=where)


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that it wraps: urllib3 and requests keep causes in `args`, `reason` and `__cause__`.

    The exceptions of requests itself are left out: they are OSErrors whatever happened.
    """
    seen: list[BaseException] = [error]
    for one in seen:
        if not isinstance(one, requests.RequestException):
            yield one
        inner = [*one.args, getattr(one, "reason", None), one.__cause__]
        seen += [cause for cause in inner if isinstance(cause, BaseException) and cause not in seen]
