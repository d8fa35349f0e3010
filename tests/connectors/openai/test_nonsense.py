"""Answers that make no sense, rows that are odd, and what goes wrong on the wire: only UpstreamError comes out."""

import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import NativeJob, NewFile, Payload
from app.connectors.providers.openai import results, shapes
from tests.fakes.openai_provider_app import provider_app
from tests.fakes.serving import ServedApp
from tests.support.openai_family import KEY, connect


@pytest.fixture
def server():
    with ServedApp(provider_app("openai", api_key=KEY)) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = connect("openai", server.base_url)
    yield connector
    connector.close()


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
def test_a_row_of_nobody_is_named_and_costs_only_itself(connector, server, row, what):
    good = b'{"custom_id": "%b", "response": {"status_code": 200, "body": {"x": 1}}, "error": null}\n'

    a, nobody, b = rows_of(connector, server.app, good % b"a", row, good % b"b")
    assert (a.custom_id, nobody.custom_id, b.custom_id) == ("a", "", "b")
    assert what in nobody.message
    with pytest.raises(UpstreamServerError, match=what.replace("row 2", "row 1")):
        rows_of(connector, server.app, row, row)


def test_what_is_wrong_with_a_line_of_one_file_is_raised_after_the_others(connector, server):
    good = b'{"custom_id": "%b", "response": {"status_code": 200, "body": {"x": 1}}, "error": null}'
    app = server.app
    cut = app.add_file(good % b"a" + b"\n" + (good % b"b")[:30], filename="out", purpose="batch_output")
    errors = app.add_file(good % b"c", filename="err", purpose="batch_output")  # without a newline, but whole
    results = connector.results(NativeJob("batch_1", "completed", output_id=cut.id, error_id=errors.id))
    assert [next(results).custom_id, next(results).custom_id] == ["a", "c"]
    with pytest.raises(UpstreamServerError, match="cut off in line 2"):
        next(results)


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
