"""Each alert of deploy/prometheus fires on what is scraped after its fault was made, and no other alert does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy import insert, update

from app.data import tables
from app.data.batches import pauses, workers
from app.data.store.database import Database, now_ms
from app.data.webhooks import outbox
from app.engine.run import Segment
from app.lib.metrics.processes import HostRecorder
from app.services.access import keys
from app.services.backups import fence
from app.services.gateway import Gateway
from app.services.metrics.exposition import Exposition
from app.services.running.work import BatchWork
from app.services.upkeep import sweep
from tests.support import promtool
from tests.support.batches import chat_line, create, jsonl
from tests.support.web import application
from tests.support.working import settle, step

pytestmark = pytest.mark.one_database

HOUR_MS = 3_600_000


@dataclass
class Scene:
    """A gateway with a worker that is alive, and a key."""

    gateway: Gateway
    client: FlaskClient
    worker: BatchWork

    def scrape(self) -> str:
        return Exposition(self.gateway).render()[0].decode()

    def write(self, statement: Any) -> None:
        with self.gateway.database.write() as connection:
            connection.execute(statement)

    def batch(self, lines: int = 1) -> None:
        create(self.client, jsonl(chat_line(f"line-{number}") for number in range(lines)))

    def segment(self, lines: int = 1) -> Segment:
        self.batch(lines)
        settle(self.worker)
        claimed = self.worker.claim(skip=())
        assert claimed is not None
        return claimed[1]

    def older(self, column: Any, ms: int = 24 * HOUR_MS) -> None:
        self.write(update(column.table).values({column: column - ms}))


@pytest.fixture
def scene(gateway: Gateway, tmp_path: Path) -> Scene:
    counting = replace(gateway, metrics=HostRecorder(tmp_path / "metrics"))
    key = keys.create(counting, project="alpha", name="alerts").key
    client = application(counting).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    found = Scene(counting, client, BatchWork(counting, worker="worker"))
    with counting.database.write() as connection:
        workers.register(connection, name="worker", host="host", pid=1, lease_ms=30_000)
    sweep.sweep_in_turn(counting, worker="worker")
    assert client.get("/v1/files").status_code == 200
    return found


def store_away(scene: Scene) -> None:
    scene.gateway = replace(scene.gateway, database=Database("sqlite:////nowhere/batchgate.db"))


def store_closed(scene: Scene) -> None:
    with scene.gateway.database.write() as connection:
        fence.fence(connection, reason="a copy")
    scene.gateway = replace(scene.gateway, store_state=type(scene.gateway.store_state)(0.0))


def no_worker(scene: Scene) -> None:
    scene.older(tables.workers.c.lease_until)


def stuck(scene: Scene) -> None:
    scene.segment()


def planning_slow(scene: Scene) -> None:
    scene.batch()
    scene.older(tables.batches.c.created_at, HOUR_MS)


def queue_old(scene: Scene) -> None:
    scene.segment()
    scene.older(tables.batches.c.created_at)


def deadline_near(scene: Scene) -> None:
    scene.segment()
    scene.older(tables.batches.c.expires_at, 24 * HOUR_MS - HOUR_MS // 6)


def expired(scene: Scene) -> None:
    scene.worker.release(scene.segment())
    scene.older(tables.batches.c.expires_at)
    while scene.worker.finalise() or step(scene.worker):
        pass


def paused(scene: Scene) -> None:
    scene.batch()
    with scene.gateway.database.write() as connection:
        why: dict[str, Any] = {"kind": "quota", "status_code": 429, "code": "quota", "message": "no more"}
        pauses.note(connection, account_id=1, model="m", project_id=None, pause_ms=HOUR_MS, **why)
    scene.older(tables.pauses.c.since)


def job(scene: Scene, **columns: Any) -> None:
    scene.batch()
    lines: dict[str, Any] = {"number": 1, "first_line": 1, "last_line": 1, "lines": 1, "marker": "m"}
    scene.write(insert(tables.batch_jobs).values(batch_id=1, account_id=1, **lines, **columns))


def unknown_job(scene: Scene) -> None:
    job(scene, state="unknown", creating_at=now_ms(), next_at=now_ms() + HOUR_MS)


def intents_old(scene: Scene) -> None:
    job(scene, state="creating", creating_at=now_ms() - HOUR_MS, next_at=now_ms() + HOUR_MS)


def jobs_late(scene: Scene) -> None:
    job(scene, state="running", next_at=now_ms() - HOUR_MS)


def leases_lost(scene: Scene) -> None:
    held = scene.segment()
    scene.write(update(tables.batch_segments).values(epoch=9))
    for _ in range(3):
        assert scene.worker.renew([held]) == {held.id}
    scene.write(update(tables.batches).values(status="completed"))


def errors(scene: Scene) -> None:
    broken = replace(scene.gateway, database=Database("sqlite:////nowhere/batchgate.db"))
    key = {"Authorization": scene.client.environ_base["HTTP_AUTHORIZATION"]}
    assert application(broken).test_client().get("/v1/files", headers=key).status_code >= 500


def lines_fail(scene: Scene) -> None:
    segment = scene.segment(lines=20)
    results = [scene.worker.broken(segment, line) for line in segment.lines]
    assert scene.worker.flush(segment, results, (), last=True)


def unknown_cost(scene: Scene) -> None:
    segment = scene.segment()
    (line,) = segment.lines
    ended = replace(scene.worker.broken(segment, line), succeeded=True, error_code=None)
    assert scene.worker.flush(segment, [ended], (), last=True)


def webhooks_late(scene: Scene) -> None:
    hook = {"name": "hook", "url": "https://hooks.example.com/", "event_types": ["batch.failed"]}
    made = scene.client.post("/v1/webhook_endpoints", json=hook)
    assert made.status_code == 200, made.text
    scene.batch()
    with scene.gateway.database.write() as connection:
        connection.execute(update(tables.batches).values(status="failed"))
        outbox.announce(connection, 1)
    scene.older(tables.webhook_deliveries.c.created_at)


def sweep_late(scene: Scene) -> None:
    scene.older(tables.periodic_leases.c.ran_at)


def disk_full(scene: Scene) -> None:
    scene.gateway = replace(scene.gateway, settings=replace(scene.gateway.settings, disk_reserve_bytes=2**60))


STUCK = "BatchgateBatchStuck"
FAULTS: dict[str, tuple[Callable[[Scene], None], tuple[str, ...]]] = {
    "BatchgateStoreAway": (store_away, ()),
    "BatchgateStoreClosed": (store_closed, ()),
    "BatchgateNoWorker": (no_worker, ()),
    STUCK: (stuck, ()),
    "BatchgatePlanningSlow": (planning_slow, ()),
    "BatchgateQueueOld": (queue_old, (STUCK,)),
    "BatchgateDeadlineNear": (deadline_near, (STUCK,)),
    "BatchgateBatchExpired": (expired, ()),
    "BatchgatePaused": (paused, ()),
    "BatchgateUnknownJob": (unknown_job, ()),
    "BatchgateIntentsOld": (intents_old, ()),
    "BatchgateJobsLate": (jobs_late, ()),
    "BatchgateLeasesLost": (leases_lost, ()),
    "BatchgateErrors": (errors, ()),
    "BatchgateLinesFail": (lines_fail, ()),
    "BatchgateUnknownCost": (unknown_cost, ()),
    "BatchgateWebhooksLate": (webhooks_late, ()),
    "BatchgateSweepLate": (sweep_late, ()),
    "BatchgateDiskReserve": (disk_full, ()),
}


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_fires_on_its_fault_and_no_other_does(scene: Scene, alert: str, tmp_path: Path) -> None:
    before = scene.scrape()
    fault, others = FAULTS[alert]
    fault(scene)
    promtool.firing(before, scene.scrape(), folder=tmp_path, expected=[alert, *others])


def test_a_gateway_that_works_raises_no_alert_and_one_that_is_gone_does(scene: Scene, tmp_path: Path) -> None:
    well = scene.scrape()
    promtool.firing(well, well, folder=tmp_path, expected=[])
    promtool.firing(well, "", folder=tmp_path, expected=["BatchgateDown"])


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    (group,) = yaml.safe_load(promtool.RULES.read_text())["groups"]
    assert {rule["alert"] for rule in group["rules"]} == {*FAULTS, "BatchgateDown"}
    assert all({"summary", "action"} <= rule["annotations"].keys() for rule in group["rules"])
    promtool.run("check", "rules", str(promtool.RULES))
    promtool.run("check", "config", "--syntax-only", str(promtool.RULES.with_name("prometheus.yml")))
