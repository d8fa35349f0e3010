"""Answers that make no sense, rows that are odd, and what goes wrong on the wire: only UpstreamError comes out."""

import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.contract.errors import OverloadedError, UpstreamError, UpstreamServerError
from app.connectors.contract.objects import NativeJob, NewContainer, NewFile, NewJob, Payload
from app.connectors.providers.openai import results, shapes
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_provider_app import provider_app
from tests.fakes.serving import ServedApp
from tests.support.openai_family import KEY, connect, new_file, payload

JOB = NewJob(endpoint="/v1/chat/completions", model="m", window="24h", marker="mark", lines=1, input_id="file-1")
CALLS = {
    "upload_file": lambda c: c.upload_file(new_file(b"{}\n")),
    "retrieve_file": lambda c: c.retrieve_file("file-1"),
    "list_files": lambda c: c.list_files(),
    "delete_file": lambda c: c.delete_file("file-1"),
    "create_job": lambda c: c.create_job(JOB),
    "retrieve_job": lambda c: c.retrieve_job("batch_1"),
    "list_jobs": lambda c: c.list_jobs(),
    "cancel_job": lambda c: c.cancel_job("batch_1"),
    "create_container": lambda c: c.create_container(NewContainer("box", 20, "1g")),
    "retrieve_container": lambda c: c.retrieve_container("cntr_1"),
    "list_containers": lambda c: c.list_containers(),
    "delete_container": lambda c: c.delete_container("cntr_1"),
    "put_container_file": lambda c: c.put_container_file("cntr_1", "a.txt", payload(b"abc")),
    "copy_container_file": lambda c: c.copy_container_file("cntr_1", "file-1"),
    "list_container_files": lambda c: c.list_container_files("cntr_1"),
    "retrieve_container_file": lambda c: c.retrieve_container_file("cntr_1", "cfile_1"),
    "delete_container_file": lambda c: c.delete_container_file("cntr_1", "cfile_1"),
    "check": lambda c: c.check(),
}
READS = {
    "read_file": lambda c: c.read_file("file-1"),
    "read_container_file": lambda c: c.read_container_file("cntr_1", "cfile_1"),
}
POSTS = ("upload_file", "create_job", "create_container", "put_container_file", "copy_container_file")
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
MADE = {name: call for name, call in CALLS.items() if not name.startswith("delete")}

NONSENSE = [
    b"[]",
    b"[1]",
    b"null",
    b'"text"',
    b"17",
    b"{}",
    b'{"id": null}',
    b'{"id": 17, "status": "completed", "data": 17, "path": 17}',
    b'{"id": "x", "status": 17, "data": {}, "bytes": "many", "expires_after": 3, "path": 17}',
    b'{"id": "x", "status": "completed", "request_counts": [1], "data": [1], "created_at": [], "path": []}',
    b'{"id": "x", "status": "nobody knows", "data": "text", "created_at": "yesterday", "path": {}}',
    b'{"id": "a\\u0000b", "status": "completed", "data": [{"id": "a\\nb"}], "path": ""}',
    b'{"id": "%s", "status": "completed", "data": 1}' % (b"x" * 513),
    b'{"id": "", "status": "", "data": [[]], "path": ""}',
    b'{"id": ["x"], "status": ["completed"], "data": [null], "path": "/a"}',
]


@pytest.fixture
def server():
    with ServedApp(provider_app("openai", api_key=KEY)) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = connect("openai", server.base_url)
    yield connector
    connector.close()


@pytest.mark.parametrize("call", MADE.values(), ids=MADE)
@pytest.mark.parametrize("body", NONSENSE)
def test_nonsense_is_an_error_of_the_provider(connector, server, call, body):
    server.faults.add(Fault(status=200, body=body))

    with pytest.raises(UpstreamServerError, match="provider's answer"):
        call(connector)


@pytest.mark.parametrize("name", ["delete_file", "delete_container", "delete_container_file"])
def test_a_deletion_that_deletes_nothing_is_an_error(connector, server, name):
    for body in (b'{"deleted": false}', b"[]", b"17"):
        server.faults.add(Fault(status=200, body=body, times=1))
        with pytest.raises(UpstreamServerError):
            CALLS[name](connector)


@every_call
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (html(status=200), UpstreamServerError),
        (html(status=502), UpstreamServerError),
        (Fault(status=500, body=b'{"error": {"message": "Oops."}}'), UpstreamServerError),
        (overload(retry_after="7"), OverloadedError),
        (Fault(status=200, body=b'{"id": "x", "status": "comp', length_off=100, cut_at=10), UpstreamServerError),
        (Fault(reset=True), UpstreamServerError),
        (Fault(status=404, body=b"not json"), UpstreamError),
    ],
    ids=["html", "502", "500", "429", "cut", "reset", "404"],
)
def test_faults_are_told_as_what_they_are(connector, server, call, fault, kind):
    server.faults.add(fault)

    try:
        call(connector)
    except UpstreamError as error:
        assert isinstance(error, kind)
        assert fault.status != 429 or error.retry_after_s == 7
    else:
        assert fault.status == 404 and call in [CALLS[name] for name in CALLS if name.startswith("delete")]
    if call in [CALLS[name] for name in POSTS]:
        assert len([request for request in server.requests if request.method == "POST"]) == 1


@pytest.mark.parametrize("name", READS)
def test_bytes_that_do_not_come_whole_are_an_error(connector, server, name):
    server.faults.add(Fault(status=200, body=b"x" * 100, length_off=100, cut_at=150))

    with pytest.raises(UpstreamServerError), READS[name](connector) as download:
        list(download.chunks)


# Rows of results.


def rows_of(connector, fake, *rows):
    file = fake.add_file(b"".join(rows), filename="out.jsonl", purpose="batch_output")
    return list(connector.results(NativeJob("batch_1", "completed", output_id=file.id)))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (b"{nonsense\n", "row 2 of the results is not JSON"),
        (b"[]\n", "row 2 of the results is not an object"),
        (b'{"response": {"status_code": 200, "body": {}}}\n', "row 2 of the results has no custom_id"),
        (b'{"custom_id": 7, "response": null}\n', "row 2 of the results has no custom_id"),
    ],
)
def test_a_row_of_nobody_is_named(connector, server, row, what):
    good = b'{"custom_id": "a", "response": {"status_code": 200, "body": {"x": 1}}, "error": null}\n'

    with pytest.raises(UpstreamServerError, match=what):
        rows_of(connector, server.app, good, row)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"response": {"status_code": 200, "body": {"x": 1}}}, (200, {"x": 1}, None)),
        ({"response": {"body": {"x": 1}}, "error": None}, (200, {"x": 1}, None)),
        ({"response": {"status_code": "200", "body": "text"}}, (200, "text", None)),
        ({"response": {"status_code": 200, "body": None}}, (None, None, "provider_error")),
        ({"response": None, "error": None}, (None, None, "provider_error")),
        ({}, (None, None, "provider_error")),
        ({"error": {"code": "batch_expired", "message": "Late."}}, (None, None, "batch_expired")),
        ({"error": {"message": "Odd."}}, (None, None, "provider_error")),
        ({"error": "Odd."}, (None, None, "provider_error")),
        ({"error": {"code": 429, "message": "Slow."}}, (429, "Slow.", None)),
        ({"error": {"code": "500", "message": "Oops."}}, (500, "Oops.", None)),
        ({"response": {"status_code": 400, "body": {"detail": "Bad."}}}, (400, "Bad.", None)),
        ({"response": {"status_code": 400, "body": None}, "error": {"message": "Bad."}}, (400, "Bad.", None)),
        ({"response": {"status_code": 502, "body": "upstream"}}, (502, "upstream", None)),
        ({"response": {"status_code": 0, "body": {"error": {"message": "Bad."}}}}, (400, "Bad.", None)),
    ],
)
def test_odd_rows_are_read_as_well_as_can_be(connector, server, row, wanted):
    [result] = rows_of(connector, server.app, orjson.dumps({"custom_id": "a", **row}) + b"\n")

    status, told, code = wanted
    assert (result.custom_id, result.status_code, result.error_code) == ("a", status, code)
    if code:
        assert result.message and not result.body
    elif status >= 400:
        error = orjson.loads(result.body)["error"]
        assert (error["message"], error["param"], error["code"]) == (told, None, None)
        assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    else:
        assert orjson.loads(result.body) == told


def test_what_else_azure_tells_of_a_refusal_is_kept(connector, server):
    error = {"message": "Filtered.", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}
    row = {"custom_id": "a", "response": {"status_code": 400, "request_id": "r", "body": {"error": error}}}

    [result] = rows_of(connector, server.app, orjson.dumps(row))

    assert orjson.loads(result.body)["error"] == {**error, "type": "invalid_request_error", "param": None}


def test_an_empty_file_of_errors_and_missing_files_are_no_results(connector, server):
    assert rows_of(connector, server.app) == []
    assert list(connector.results(NativeJob("batch_1", "completed"))) == []


# Anything at all.

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
NAMES = (
    "id status bytes filename purpose created_at expires_at completed_at request_counts errors metadata usage "
    "endpoint path source network_policy expires_after data has_more last_id deleted custom_id response error"
)
objects = st.dictionaries(st.sampled_from(NAMES.split()), anything | st.just("completed"), max_size=10)


@given(answer=objects | anything)
def test_no_answer_breaks_the_reading(answer):
    def page(given):
        return shapes.page(given, shapes.job, current="x")

    reads = (shapes.file, shapes.job, shapes.container, shapes.container_file)
    for read in (*reads, page, shapes.deleted):
        try:
            read(answer)
        except UpstreamServerError as error:
            assert "makes no sense" in error.message


@given(row=objects | anything)
def test_no_row_breaks_the_reading(row):
    try:
        line = orjson.dumps(row)
    except TypeError:
        return  # an integer beyond 64 bits
    try:
        result = results.result(line, 1)
    except UpstreamServerError as error:
        assert "row 1" in error.message
    else:
        assert (result.status_code is None) == (result.error_code is not None)


# Large files.

SIZE = 50 * 2**20
PIECE = b"\0" * 65536


class _Large(BaseHTTPRequestHandler):
    """Takes and gives large files without keeping them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        self.server.taken = left
        while left:
            left -= len(self.rfile.read(min(left, len(PIECE))))
        self._answer(b'{"id": "file-1", "bytes": 1, "status": "processed"}')

    def do_GET(self):
        self._head(SIZE)
        for _ in range(SIZE // len(PIECE)):
            self.wfile.write(PIECE)

    def _answer(self, body):
        self._head(len(body))
        self.wfile.write(body)

    def _head(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        pass


def test_large_files_stream_both_ways_in_little_memory():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Large) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connector = connect("openai", f"http://127.0.0.1:{server.server_address[1]}/v1")
        tracemalloc.start()
        try:
            large = Payload(SIZE, lambda: (PIECE for _ in range(SIZE // len(PIECE))))
            connector.upload_file(NewFile("in.jsonl", "batch", large))
            with connector.read_file("file-1") as download:
                got = sum(len(chunk) for chunk in download.chunks)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            connector.close()
            server.shutdown()
            thread.join()

    assert server.taken > SIZE and got == SIZE
    assert peak < 8 * 2**20
