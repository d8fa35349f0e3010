"""One trace for each batch: the request, planning, the segment, each attempt at a line, and the end."""

from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.trace import SpanKind, StatusCode

from app.connectors.catalogue.providers import PROVIDERS
from app.engine.outcomes import Result
from app.lib.traces.export import Exported
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, jsonl
from tests.support.web import application
from tests.support.working import settle

pytestmark = pytest.mark.one_database
CALLERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_goes_from_the_request_to_the_provider(gateway: Gateway, fake: FakeServer) -> None:
    exporter = InMemorySpanExporter()
    traced = replace(gateway, traces=Exported(lambda: exporter, log=gateway.log))
    client = application(traced).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys.create(traced, project='alpha', name='traced').key}"
    client.environ_base["HTTP_TRACEPARENT"] = CALLERS
    batch = create(client, jsonl(chat_line(name, model="m") for name in ("a", "b")))["id"]
    run_all(BatchWork(traced, worker="worker"))
    traced.traces.close()

    spans = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {f"b6{batch.removeprefix('batch_')}"}
    (root,) = named(spans, "batch_create")
    assert root.parent is None and root.kind == SpanKind.SERVER
    assert [f"{link.context.trace_id:032x}" for link in root.links] == [CALLERS.split("-")[1]]
    (segment,) = named(spans, "segment")
    below = {span.name: parent_of(span) for span in spans if span is not root}
    assert below == {"plan": own(root), "segment": own(root), "chat m": own(segment), "finalise": own(root)}
    lines = named(spans, "chat m")
    assert [line.kind for line in lines] == [SpanKind.CLIENT] * 2
    about = dict(lines[0].attributes or {})
    assert about[conventions.GEN_AI_OPERATION_NAME] == "chat"
    assert about[conventions.GEN_AI_PROVIDER_NAME] == "local"
    assert about[conventions.GEN_AI_REQUEST_MODEL] == "m"
    assert int(str(about[conventions.GEN_AI_USAGE_OUTPUT_TOKENS])) > 0
    assert about["http.response.status_code"] == 200
    assert {line.status.status_code for line in lines} == {StatusCode.UNSET}
    # What callers and models wrote is in no span.
    assert not any("hello" in str(span.attributes) for span in spans)


def test_names_of_providers_and_attributes_are_those_of_the_conventions() -> None:
    known = {value.value for value in conventions.GenAiProviderNameValues}
    assert {entry.traced_as for entry in PROVIDERS if entry.traced_as} <= known
    assert conventions.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS == "gen_ai.usage.cache_read.input_tokens"
    assert conventions.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS == "gen_ai.usage.reasoning.output_tokens"


def run_all(work: BatchWork) -> None:
    """Plan, send all lines of the only segment, write them, finalise."""
    settle(work)
    claimed = work.claim(skip=())
    assert claimed is not None
    segment = claimed[1]
    results = []
    for line in segment.lines:
        request = work.prepare(segment, line)
        assert not isinstance(request, Result)
        outcome = work.send(request, timeout_s=10.0)
        assert isinstance(outcome, Result)
        results.append(outcome.of(line.tried()))
    assert work.flush(segment, results, (), last=True)
    work.release(segment)
    settle(work)


def named(spans: tuple[ReadableSpan, ...], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def own(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None
