"""The connector of Replicate against its fake: files for a day."""

import orjson
import pytest

from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.providers.replicate import Replicate
from tests.fakes.faults import Fault
from tests.fakes.replicate_app import ReplicateApp
from tests.fakes.serving import ServedApp
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, refuses, tolerates, variants
from tests.support.native_jobs import new_file, secrets_in, target

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


def test_a_file_comes_and_goes(connector):
    made = connector.upload_file(new_file(b"hello" * 1000, filename="a.txt", purpose="vision"))

    assert (made.filename, made.bytes, made.purpose, made.status) == ("a.txt", 5000, "vision", "processed")
    assert made.expires_at == made.created_at + 24 * 3_600_000
    assert connector.retrieve_file(made.id) == made
    assert read(connector, made.id) == b"hello" * 1000
    connector.delete_file(made.id)
    connector.delete_file(made.id)
    for call in (connector.retrieve_file, lambda native_id: read(connector, native_id)):
        with pytest.raises(MissingError):
            call(made.id)


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


FILE = {
    "id": "f",
    "name": "a",
    "size": 1,
    "metadata": {"purpose": "vision"},
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-02T00:00:00Z",
    "urls": {"get": "http://127.0.0.1:1/v1/files/f/download"},
}
FIELDS = ("id", "name", "size", "metadata", "metadata.purpose", "created_at", "expires_at", "urls", "urls.get")
CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "read_file": lambda c: read(c, "f"),
}
VARIANTS = {
    "retrieve_file": (FILE, FIELDS),
    "upload_file": (FILE, FIELDS),
    "read_file": (FILE, FIELDS),
    "list_files": ({"results": [FILE], "next": None}, ("results", "results.0", "results.0.id", "next")),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for answer in NEVER_RIGHT.values():
        refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(*VARIANTS[name][:1], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)


@pytest.mark.parametrize("name", ["list_files", "upload_file"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1


def test_a_wrong_token_shows_nowhere(server):
    connector = Replicate(target("replicate", server.base_url, key="sk-canary-other"))

    with pytest.raises(RefusedError) as refused:
        connector.check()
    connector.close()

    assert refused.value.status == 401
    assert not secrets_in(refused.value, "sk-canary-other")
