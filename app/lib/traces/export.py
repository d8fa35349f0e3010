"""Spans on their way to OpenTelemetry's exporter, in the background. Its packages are imported with the first span."""

import atexit
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from app.lib.traces import spans
from app.lib.traces.spans import NoTraces, Span, Traces
from app.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED = "OTEL_SDK_DISABLED"
SERVICE = "batchgate"
PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")


def chosen(environment: Mapping[str, str], *, log: Any) -> Traces:
    """What the OTEL_... variables ask for: nothing unless they name an exporter."""
    name = environment.get(EXPORTER, "").strip().lower()
    name = name or ("otlp" if any(environment.get(each, "").strip() for each in ENDPOINTS) else "none")
    if name == "none" or environment.get(DISABLED, "").strip().lower() == "true":
        return NoTraces()
    if name not in ("otlp", "console"):
        log.warning("traces.off", reason=f"{EXPORTER} must be otlp, console or none, not {name[:40]!r}.")
        return NoTraces()
    if not all(_is_installed(package) for package in PACKAGES):
        log.warning("traces.off", reason="Traces need more packages: pip install 'batchgate[otel]'.")
        return NoTraces()
    return Exported(_otlp if name == "otlp" else _console, log=log)


def _is_installed(package: str) -> bool:
    with suppress(ModuleNotFoundError):  # of a package around it
        return find_spec(package) is not None
    return False


class Exported:
    """Spans are collected and sent by a thread of OpenTelemetry's, which begins with the first span: after a fork."""

    def __init__(self, exporter: "Callable[[], SpanExporter]", *, log: Any) -> None:
        self.is_on = True
        self._make_exporter = exporter
        self._log = log
        self._lock = threading.Lock()
        self._provider: TracerProvider | None = None
        self._processor: Any = None

    def add(self, span: Span) -> None:
        """Pass on a span, if the sampler takes its trace."""
        provider = self._provider or self._opened()
        if provider is None:
            return
        sampled = provider.sampler.should_sample(None, spans.trace_id(span.batch), span.name)
        if sampled.decision in _decisions():
            self._processor.on_end(_readable(span, provider))

    def close(self) -> None:
        """Send what has not been sent yet."""
        with self._lock:
            if self._processor is not None:
                self._processor.shutdown()

    def _opened(self) -> "TracerProvider | None":
        with self._lock:
            if self._provider is None and self.is_on:
                try:
                    self._open()
                except Exception as error:  # noqa: BLE001 - a wrong OTEL_... variable must stop no request
                    self._log.warning("traces.off", reason=f"{type(error).__name__}: {error}")
                    self.is_on = False
            return self._provider

    def _open(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._processor = BatchSpanProcessor(self._make_exporter())
        resource = Resource.create({"service.version": VERSION})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        atexit.register(self.close)


@cache
def _decisions() -> frozenset[Any]:
    """The answers of a sampler with which a span is kept."""
    from opentelemetry.sdk.trace.sampling import Decision

    return frozenset({Decision.RECORD_AND_SAMPLE})


def _otlp() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _console() -> "SpanExporter":
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ConsoleSpanExporter()


def _readable(span: Span, provider: "TracerProvider") -> "ReadableSpan":
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    trace, ended = spans.trace_id(span.batch), time.time_ns()
    linked = spans.parsed(span.linked)
    is_root = span.own == spans.ROOT
    return ReadableSpan(
        name=span.name,
        context=_context(trace, spans.span_id(span.batch, span.own)),
        parent=None if is_root else _context(trace, spans.span_id(span.batch, span.parent)),
        resource=provider.resource,
        attributes={"batchgate.batch.id": span.batch, **span.attributes},
        links=[Link(_context(*linked))] if linked else [],
        kind=SpanKind[span.kind.upper()],
        status=Status(StatusCode.ERROR) if span.error else Status(),
        start_time=ended - int(span.elapsed_s * 1e9),
        end_time=ended,
        instrumentation_scope=InstrumentationScope(SERVICE, VERSION),
    )


def _context(trace: int, span: int) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
