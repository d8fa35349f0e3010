"""What a call says of itself, and what an answer says of an object that is not there."""

from collections.abc import Iterator

import orjson
import pytest

from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.http.api import Api
from app.connectors.shared.big_json import members
from tests.connectors.http.test_api import Echo, api, zeros
from tests.fakes.faults import Fault, Request
from tests.fakes.serving import ServedApp


@pytest.fixture
def server() -> Iterator[ServedApp]:
    with ServedApp(Echo()) as served:
        yield served


def last(server: ServedApp) -> Request:
    return server.requests[-1]


def read(client: Api, path: str) -> bytes:
    with client.download(path) as download:
        return b"".join(download.chunks)


def test_json_is_asked_for_where_json_is_expected(server: ServedApp) -> None:
    client = api(server)
    for call in (
        lambda: client.get("/thing"),
        lambda: client.delete("/thing"),
        lambda: client.post("/thing", {"a": 1}),
        lambda: client.post("/thing"),
        lambda: client.send("PUT", "/thing", zeros(3), content_type="text/plain"),
        lambda: list(members(client, "/thing", array="data")),
    ):
        call()
        assert last(server).headers["accept"] == "application/json"


def test_files_are_taken_in_whatever_form_they_are(server: ServedApp) -> None:
    read(api(server), "/lines")
    assert last(server).headers["accept"] == "*/*"


@pytest.mark.parametrize("method", ["get", "delete", "post"])
def test_a_call_without_a_body_names_no_type(server: ServedApp, method: str) -> None:
    getattr(api(server), method)("/thing")
    assert "content-type" not in last(server).headers
    assert last(server).headers.get("content-length") == ("0" if method == "post" else None)
    api(server).post("/thing", {})
    assert (last(server).headers["content-type"], last(server).body) == ("application/json", b"{}")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, None),
        (410, None),
        (400, "file_not_found"),
        (400, "NOT_FOUND"),
        (403, "not-found"),
        (400, "ResourceNotFoundException"),
        (403, "NoSuchKey"),
        (400, "file_expired"),
        (400, "container_not_found"),
    ],
)
def test_an_object_may_be_missing_in_several_ways(server: ServedApp, status: int, code: str | None) -> None:
    server.faults.add(Fault(status=status, body=orjson.dumps({"error": {"message": "No.", "code": code}})))
    client = api(server)
    for call in (lambda: client.get("/thing"), lambda: client.delete("/thing"), lambda: read(client, "/lines")):
        with pytest.raises(MissingError) as missing:
            call()
        assert missing.value.status == status
    assert client.delete("/thing", missing_ok=True) is None


@pytest.mark.parametrize("code", ["model_not_found", "invalid_request", "permission_denied", None])
def test_other_refusals_say_nothing_of_the_object(server: ServedApp, code: str | None) -> None:
    server.faults.add(Fault(status=400, body=orjson.dumps({"error": {"message": "No.", "code": code}})))
    with pytest.raises(RefusedError) as refused:
        api(server).get("/thing")
    assert type(refused.value) is RefusedError


def test_what_a_body_names_is_not_what_the_path_names(server: ServedApp) -> None:
    server.faults.add(Fault(status=400, body=b'{"error": {"message": "No such file.", "code": "not_found"}}'))
    with pytest.raises(RefusedError) as refused:
        api(server).post("/thing", {"file_id": "x"})
    assert type(refused.value) is RefusedError
