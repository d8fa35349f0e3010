"""Answers of Gemini that make no sense, and what its connector makes of them."""

import orjson
import pytest

from app.connectors.contract.errors import UpstreamServerError
from tests.connectors.gemini.test_connector import (
    SOUGHT,
    app,
    connector,
    server,
)
from tests.fakes.faults import Fault
from tests.support.native_jobs import new_file

__all__ = ["app", "connector", "server"]  # fixtures


FILE = {
    "name": "files/f",
    "displayName": "x",
    "sizeBytes": "1",
    "createTime": "2026-11-21T12:00:00Z",
    "expirationTime": "2026-11-23T12:00:00Z",
    "state": "ACTIVE",
}


@pytest.mark.parametrize("answer", [{"file": file} for file in (None, [], {}, {**FILE, "name": "../x"})])
def test_nonsense_at_the_end_of_an_upload(server, connector, answer):
    server.faults.add(Fault(path="/files", containing=b"x-marks-it", status=200, body=orjson.dumps(answer)))

    with pytest.raises(UpstreamServerError):
        connector.upload_file(new_file(b"x-marks-it"))


def test_a_list_without_end_is_left(server, connector):
    def answer(token):
        return orjson.dumps({"operations": [], "nextPageToken": token})

    server.faults.add(Fault(path="/batches", status=200, body=answer("x"), every=2))
    server.faults.add(Fault(path="/batches", status=200, body=answer("y")))

    with pytest.raises(UpstreamServerError):
        connector.find_jobs(SOUGHT)
    assert len(server.requests) == 100
