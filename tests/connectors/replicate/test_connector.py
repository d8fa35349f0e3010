"""The connector of Replicate against its fake: files for a day."""

import orjson
import pytest

from app.connectors.contract.errors import UpstreamError
from app.connectors.providers.replicate import Replicate
from tests.fakes.faults import Fault
from tests.fakes.replicate_app import ReplicateApp
from tests.fakes.serving import ServedApp
from tests.support.native_jobs import new_file, target

KEY = "sk-canary-secret"


@pytest.fixture
def app():
    return ReplicateApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = Replicate(target("replicate", server.base_url))
    yield connector
    connector.close()


def read(connector, native_id):
    with connector.read_file(native_id) as download:
        return b"".join(download.chunks)


def test_files_are_listed_to_the_end_at_the_account_itself(app, server, connector):
    made = [connector.upload_file(new_file(b"x")).id for _ in range(7)]
    found, after = [], None
    while True:
        page = connector.list_files(after=after)
        found += [file.id for file in page.items]
        if page.after is None:
            break
        after = page.after

    assert found == made[::-1]
    elsewhere = {"results": [], "next": "https://elsewhere.example/steal?cursor=3&x=a%20b", "previous": None}
    server.faults.add(Fault(status=200, body=orjson.dumps(elsewhere), times=1))
    assert connector.list_files().after == "cursor=3&x=a%20b"
    connector.list_files(after="cursor=3&x=a%20b")
    assert server.requests[-1].query.replace("+", "%20") == "cursor=3&x=a%20b"


def test_an_expiry_that_is_not_told_is_a_day(server, connector):
    told = {"id": "f", "name": "a", "size": 1, "created_at": "2026-01-01T00:00:00.123456789Z"}
    server.faults.add(Fault(status=200, body=orjson.dumps(told)))

    file = connector.retrieve_file("f")

    assert file.created_at == 1767225600123
    assert file.expires_at == file.created_at + 24 * 3_600_000


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/files/f/download?signature=x",
        "file:///etc/passwd",
        "x",
        "http://[x",
        "http://127.0.0.1:x",
    ],
)
def test_bytes_come_from_the_account_s_host_only(server, connector, url):
    server.faults.add(Fault(status=200, body=orjson.dumps({"id": "f", "urls": {"get": url}})))

    with pytest.raises(UpstreamError):
        read(connector, "f")


def test_the_description_of_a_file_is_never_its_bytes(server, connector):
    own = {"id": "f", "urls": {"get": f"{server.base_url}/files/f"}}
    server.faults.add(Fault(path="/files/f", status=200, body=orjson.dumps(own)))

    with pytest.raises(UpstreamError):
        read(connector, "f")
    assert server.requests[-1].path == "/v1/files/f/download"
