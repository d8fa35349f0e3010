"""Answers that no provider should give, and what a connector makes of each: an UpstreamError, nothing else."""

import orjson
import pytest

from app.connectors.contract.errors import OverloadedError, RefusedError, UpstreamError, UpstreamServerError
from tests.fakes.faults import Fault, html, overload

# Whatever the call, these are wrong.
NEVER_RIGHT = {
    "nothing": b"",
    "text": b'"fine"',
    "number": b"17",
    "null": b"null",
    "list": b"[1, 2]",
}
# The client sees to these (tests of management); where a connector reads streams, it has to.
NOT_JSON = {
    "html": b"<!doctype html><title>Welcome</title>",
    "cut": b'{"id": "x", "data": [',
    "nan": b'{"id": NaN}',
    "not utf-8": b'{"id": "\xff\xfe"}',
    "deep": b"[" * 100_000,
}
FAULTS = {
    "429": (overload(retry_after="7"), OverloadedError),
    "500": (Fault(status=500, body=b'{"error": {"message": "boom"}}'), UpstreamServerError),
    "503": (Fault(status=503, body=b""), OverloadedError),
    "html": (html(status=502), UpstreamServerError),
    "redirect": (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), UpstreamError),
    "cut": (Fault(status=200, body=b'{"id": "' + b"x" * 4000, cut_at=100), UpstreamServerError),
    "reset": (Fault(reset=True), UpstreamError),
    "400": (Fault(status=400, body=b'{"detail": "No."}'), RefusedError),
    "404": (Fault(status=404, body=b"not json"), UpstreamError),
    "200 html": (html(status=200), UpstreamServerError),
}


def variants(good, *names):
    """`good` with each of its members `names` replaced by what makes no sense there; `a.b` goes deeper."""
    for name in names:
        for nonsense in (True, -1, [[]], {"a": []}, "\x00?"):
            copy = orjson.loads(orjson.dumps(good))
            *path, last = name.split(".")
            holder = copy
            for step in path:
                holder = holder[int(step)] if isinstance(holder, list) else holder[step]
            holder[int(last) if isinstance(holder, list) else last] = nonsense
            yield copy


def tolerates(call, server, answer):
    """`call` meets `answer`: it may take it, and may raise an UpstreamError."""
    server.faults.clear()
    server.faults.add(Fault(status=200, body=answer if isinstance(answer, bytes) else orjson.dumps(answer)))
    met = len(server.requests)
    try:
        call()
    except UpstreamError as error:
        assert str(error)
    assert len(server.requests) > met


def refuses(call, server, answer, complaint=""):
    """`call` meets `answer`, and raises an UpstreamError that says `complaint`."""
    server.faults.clear()
    server.faults.add(Fault(status=200, body=answer if isinstance(answer, bytes) else orjson.dumps(answer)))
    met = len(server.requests)
    with pytest.raises(UpstreamError, match=complaint or None) as wrong:
        call()
    assert str(wrong.value)
    assert len(server.requests) > met
