"""Traces are off unless OTEL_... variables name an exporter, and what is wrong with those stops nothing."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.lib.traces import export, spans
from app.lib.traces.spans import NoTraces, Span

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
BATCH = "batch_" + "0123456789abcdef" * 2


class Log:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def warning(self, _event: str, *, reason: str) -> None:
        self.reasons.append(reason)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", **ENDPOINT},
        {"OTEL_SDK_DISABLED": "true", **ENDPOINT},
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"},
    ],
)
def test_they_are_off_unless_an_exporter_is_named(environment: dict[str, str]) -> None:
    log = Log()
    assert isinstance(export.chosen(environment, log=log), NoTraces)
    assert len(log.reasons) == ("zipkin" in environment.values())


def test_an_endpoint_or_the_name_of_an_exporter_turns_them_on() -> None:
    for environment in (ENDPOINT, {"OTEL_TRACES_EXPORTER": "otlp"}, {"OTEL_TRACES_EXPORTER": " Console "}):
        assert export.chosen(environment, log=Log()).is_on


def test_an_exporter_that_cannot_be_made_turns_them_off_and_says_why() -> None:
    def broken() -> Any:
        raise ValueError("no such compression")

    log = Log()
    traces = export.Exported(broken, log=log)
    for _ in range(2):
        traces.add(Span(BATCH, "plan", 0.1))
    traces.close()
    assert not traces.is_on
    assert log.reasons == ["ValueError: no such compression"]


def test_nothing_of_opentelemetry_is_imported_while_they_are_off() -> None:
    look = "import sys, app.wiring, app.worker; sys.exit(any(n.startswith('opentelemetry') for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def test_a_collector_gets_spans_over_http_with_the_name_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)  # which OpenTelemetry's own packages read
        traces = export.chosen(environment, log=Log())
        traces.add(Span(BATCH, "plan", 0.1, attributes={"gen_ai.request.model": "m"}))
        traces.close()
    ((path, body),) = collector.got
    assert path == "/v1/traces"
    assert b"batchgate" in body and b"gen_ai.request.model" in body and b"plan" in body


class Collector(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, bytes]] = []

    def __enter__(self) -> "Collector":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_ids_of_a_trace_are_those_of_its_batch() -> None:
    public = "batch_" + "0123456789abcdef0123456789abcd"
    assert f"{spans.trace_id(public):032x}" == "b60123456789abcdef0123456789abcd"
    assert spans.trace_id("batch_adopted") == spans.trace_id("batch_adopted") != spans.trace_id("batch_other")
    assert spans.span_id(public, "batch") == spans.span_id(public, "batch") != spans.span_id(public, "segment 1 1")
    assert spans.span_id(public, "") != spans.span_id(public, "")


@pytest.mark.parametrize(
    "sent", ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "a" * 31 + "-b-01", "ü" * 55]
)
def test_a_traceparent_that_is_none_is_ignored(sent: str) -> None:
    assert spans.parsed(sent) is None
