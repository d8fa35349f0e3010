"""`/metrics`: for its token alone, complete, with labels that no caller chooses."""

import socket
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.lib.metrics.declared import ALL, HISTOGRAM
from app.lib.metrics.processes import HostRecorder
from app.services.gateway import Gateway
from app.services.metrics import server
from app.services.metrics.exposition import Exposition
from tests.conftest import KeyClient
from tests.support import promtool
from tests.support.waiting import until
from tests.support.web import application

pytestmark = pytest.mark.one_database

TOKEN = "scrape-me"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def measured(gateway: Gateway, tmp_path: Path, **settings: Any) -> Gateway:
    recorder = HostRecorder(tmp_path / "metrics", log=gateway.log)
    changed = {"metrics_token": TOKEN, **settings}
    return replace(gateway, metrics=recorder, settings=replace(gateway.settings, **changed))


def test_without_a_token_there_is_no_such_page(client: KeyClient) -> None:
    here, nowhere = (client.get(path, headers={"Authorization": ""}) for path in ("/metrics", "/metricz"))
    assert here.status_code == nowhere.status_code == 404
    assert here.json["error"]["message"] == nowhere.json["error"]["message"].replace("metricz", "metrics")
    assert client.get("/metrics").status_code == 404


def test_only_the_token_opens_it(gateway: Gateway, client: KeyClient, tmp_path: Path) -> None:
    web = application(measured(gateway, tmp_path)).test_client()
    wrong = ("", f"Bearer {client.key}", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00fc")
    for sent in wrong:
        assert web.get("/metrics", headers={"Authorization": sent}).status_code == 401, sent
    assert web.get("/metrics", headers=BEARER).status_code == 200
    assert web.get("/v1/files", headers=BEARER).status_code == 401  # and it opens nothing else


def test_a_scrape_has_every_metric_in_both_formats_and_promtool_finds_nothing_to_say(
    gateway: Gateway, tmp_path: Path
) -> None:
    web = application(measured(gateway, tmp_path)).test_client()
    plain = web.get("/metrics", headers=BEARER)
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    named = {line.split()[2].removesuffix("_total") for line in plain.text.splitlines() if line.startswith("# TYPE")}
    assert named == {name.removesuffix("_total") for name in ALL}
    assert promtool.run("check", "metrics", text=web.get("/metrics", headers=BEARER).text) == ""
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    open_metrics = web.get("/metrics", headers={**BEARER, **accept})
    assert open_metrics.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


def test_requests_are_counted_by_operation_and_status_whatever_their_path(
    gateway: Gateway, client: KeyClient, tmp_path: Path
) -> None:
    web = application(measured(gateway, tmp_path)).test_client()
    key = {"Authorization": f"Bearer {client.key}"}
    for path in ("/v1/files", "/v1/files/file-1", "/v1/files/file-2", "/v1/nowhere/1", "/nowhere/2"):
        web.get(path, headers=key)
    found = promtool.samples(web.get("/metrics", headers=BEARER).text)
    requests = {name: value for name, value in found.items() if name.startswith("batchgate_requests_total")}
    assert requests == {
        'batchgate_requests_total{operation="file_list",status="200"}': 1.0,
        'batchgate_requests_total{operation="file_retrieve",status="404"}': 2.0,
        'batchgate_requests_total{operation="unknown",status="404"}': 2.0,
    }
    assert found['batchgate_request_seconds_count{operation="file_list"}'] == 1.0
    assert found['batchgate_request_seconds_bucket{le="+Inf",operation="file_list"}'] == 1.0
    buckets = sum("seconds_bucket" in name and 'operation="file_list"' in name for name in found)
    assert buckets == len(ALL["batchgate_request_seconds"].buckets) + 1


def test_a_store_that_does_not_answer_leaves_the_counters(gateway: Gateway, tmp_path: Path) -> None:
    counting = measured(gateway, tmp_path)
    counting.metrics.count(ALL["batchgate_lines_total"], "gateway", "completed")
    counting.database.dispose()
    gone = replace(counting, database=type(gateway.database)("sqlite:////nowhere/batchgate.db"))
    found = promtool.samples(Exposition(gone).render()[0].decode())
    assert found["batchgate_store_up{}"] == 0.0
    assert found['batchgate_lines_total{execution="gateway",outcome="completed"}'] == 1.0
    assert not any(name.startswith("batchgate_workers") for name in found)


def test_names_and_labels_are_those_that_prometheus_advises() -> None:
    for metric in ALL.values():
        assert metric.text.endswith("."), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.buckets) == (metric.kind == HISTOGRAM), metric.name
        assert not {"project", "key", "batch", "file", "custom_id", "user"} & set(metric.labels), metric.name


def test_a_port_of_its_own_serves_this_host_and_passes_to_the_next_process(gateway: Gateway, tmp_path: Path) -> None:
    with socket.socket() as holder:  # another process of the host, which answers for this one
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((server.LOOPBACK, 0))
        holder.listen()
        port = holder.getsockname()[1]
        mine = server.start(measured(gateway, tmp_path, metrics_port=port))
    address = f"http://{server.LOOPBACK}:{port}"
    until(lambda: status(f"{address}/metrics", {}) == 401)
    assert status(f"{address}/metrics?x=1", BEARER) == 200
    assert status(f"{address}/v1/files", BEARER) == 404
    mine.close()
    until(lambda: status(f"{address}/metrics", BEARER) == 0)


def status(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
