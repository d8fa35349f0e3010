"""Schemathesis: every check on every operation of the description, against a gateway on a real socket.

Keys and projects that the run itself needs are kept out of its reach: it would revoke, limit or archive them.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from app.services.access import keys
from app.services.gateway import Gateway
from tests.fakes.openai_server import FakeServer
from tests.support.server import LiveServer
from tests.support.web import application

pytestmark = pytest.mark.one_database

IS_LONG = "BATCHGATE_SOAK" in os.environ
EXAMPLES = 50 if IS_LONG else 2
SEED = 20260131
CHANGING = ("PUT", "DELETE", "POST")
METRICS = {"BATCHGATE_METRICS_TOKEN": "a-token-that-the-run-does-not-have"}
Part = dict[str, Any]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_DEFAULT_PROVIDER": "local", "BATCHGATE_LOG_LEVEL": "error", **METRICS}


class Guarded:
    """The application, of which a run cannot change its own key and project, and whose idempotency keys are new."""

    def __init__(self, flask: Any, *, names: tuple[str, ...]) -> None:
        self._flask, self._names, self._numbers = flask, names, itertools.count()

    def __call__(self, environ: Part, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/api/") and environ["REQUEST_METHOD"] in CHANGING:
            for name in self._names:
                path = path.replace(name, "0" * 16)
            environ["PATH_INFO"] = path
        if 0 < len(environ.get("HTTP_IDEMPOTENCY_KEY", "")) < 200:
            environ["HTTP_IDEMPOTENCY_KEY"] += f"-{next(self._numbers)}"
        return self._flask(environ, start_response)


def with_prefixes(document: Part, wanted: Any) -> Part:
    """The operations whose paths are `wanted`, under the first of their servers."""
    paths: dict[str, Part] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            [server, *_] = [one["url"].rstrip("/") for one in operation.pop("servers", document["servers"])]
            if wanted(f"{server}{path}"):
                paths.setdefault(f"{server}{path}", {})[method] = operation
    return {**document, "paths": paths, "servers": [{"url": "/"}]}


def configured(document: Part, *, url: str, key: str) -> schemathesis.Config:
    """Valid data is refused only with the 4xx that its operation lists."""
    expected = [
        {
            "include-operation-id": operation["operationId"],
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "3xx", *(code for code in operation["responses"] if code[0] == "4")]
                }
            },
        }
        for item in document["paths"].values()
        for operation in item.values()
    ]
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "base-url": url,
            "headers": {"Authorization": f"Bearer {key}"},
            "continue-on-failure": True,
            "warnings": False,
            "parameters": {
                **dict.fromkeys(("query.provider", "query.x-model-provider", "header.x-model-provider"), "local"),
                "header.x-bf-project": "tested",
            },
            "generation": {"max-examples": EXAMPLES, "database": "none"},
            "phases": {"stateful": {"enabled": IS_LONG}},
            "operations": expected,
        }
    )


def run(gateway: Gateway, wanted: Any) -> tuple[dict[str, Counter[int]], list[str]]:
    """The statuses that each operation answered, and what checks found."""
    flask = application(gateway)
    issued = keys.create(gateway, project="tested", name="schemathesis", role="admin")
    document = with_prefixes(dict(flask.test_client().get("/openapi.json").json), wanted)
    statuses: dict[str, Counter[int]] = {}
    found = []
    with LiveServer(Guarded(flask, names=(issued.public_id, "tested"))) as server:
        schema = schemathesis.openapi.from_dict(document, config=configured(document, url=server.url, key=issued.key))
        for event in from_schema(schema).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                found.append(str(event))
            if not isinstance(event, events.ScenarioFinished):
                continue
            label = str(event.recorder.label)
            for one in event.recorder.interactions.values():
                if one.response is not None:
                    statuses.setdefault(label, Counter())[one.response.status_code] += 1
            for checks in event.recorder.checks.values():
                failures = [one.failure_info for one in checks if one.failure_info is not None]
                found += [f"{label}: {one.failure.title}: {one.failure.message}\n{one.code_sample}" for one in failures]
    return statuses, found


@pytest.mark.parametrize("part", ["face", "management"])
def test_no_check_of_any_operation_fails(gateway: Gateway, part: str) -> None:
    is_managed = part == "management"
    statuses, found = run(gateway, lambda path: path.startswith("/api/") is is_managed)
    assert found == [], "\n\n".join(found[:20])
    never = {label for label, counts in statuses.items() if set(counts) <= {401, 403, 429}}
    assert never <= {"GET /metrics"}, "operations that the run never got past the credential of"
