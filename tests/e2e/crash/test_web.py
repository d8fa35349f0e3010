"""Web processes and sweepers that die at each named instant."""

from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from app.data.files import files as file_rows
from app.data.tables import files
from app.lib import failpoints
from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.crash import test_workers
from tests.e2e.crash.audit import assert_clean
from tests.services.access import test_secret_rotation
from tests.services.containers import test_reconciling as test_containers
from tests.services.copies import test_crashes as test_copies
from tests.services.jobs import test_crashes as test_jobs
from tests.services.upkeep import test_moving
from tests.services.webhooks import test_crashes as test_webhooks
from tests.support.batches import CHAT, chat_line, jsonl, upload
from tests.support.process import Process
from tests.support.waiting import until

SWEEP = "sweep.after_delete"
POINTS = ("blob.after_intent", "blob.before_rename", "file.before_row", "batch.after_row")


@pytest.mark.parametrize("point", POINTS)
def test_a_web_process_that_dies_leaves_nothing_half_made(
    gateway: Gateway, environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    headers = {"Authorization": f"Bearer {keys.create(gateway, project='alpha', name='crash').key}"}
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    line = {"custom_id": "a", "body": {"model": "m", "messages": []}}
    with Process("web", environment | armed) as web, pytest.raises(requests.ConnectionError):
        if point == "batch.after_row":
            requests.post(
                f"{web.url}/v1/batches", json={"requests": [line], "endpoint": CHAT}, headers=headers, timeout=10
            )
        else:
            file = ("in.jsonl", jsonl([chat_line("a")]))
            requests.post(
                f"{web.url}/v1/files", data={"purpose": "batch"}, files={"file": file}, headers=headers, timeout=10
            )
    assert_clean(gateway)
    with Process("web", environment) as web:
        listed = {
            name: requests.get(f"{web.url}/v1/{name}", headers=headers, timeout=10).json()["data"]
            for name in ("files", "batches")
        }
    # A batch whose answer was lost is there, whole; a file whose row was not committed is not.
    assert len(listed["batches"]) == len(listed["files"]) == (point == "batch.after_row")


def test_a_sweeper_that_dies_is_followed_by_another(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path
) -> None:
    file_id = upload(client, jsonl([chat_line("a")]))
    with gateway.database.write() as connection:
        row = connection.execute(select(files.c.id, files.c.blob_id).where(files.c.public_id == file_id)).one()
        assert file_rows.delete(connection, row.id) is not None  # and the process dies before the bytes go
    armed = {"BATCHGATE_FAILPOINT": SWEEP, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died)
    assert_clean(gateway)


def test_every_named_point_is_tested() -> None:
    at_providers = (*test_jobs.FAIL_POINTS, *test_copies.FAIL_POINTS, *test_containers.FAIL_POINTS)
    elsewhere = (*test_workers.FAIL_POINTS, *test_secret_rotation.FAIL_POINTS, *test_moving.FAIL_POINTS, *at_providers)
    elsewhere += tuple(test_webhooks.FAIL_POINTS)
    tested = {point.partition(":")[0] for point in (*POINTS, SWEEP, *elsewhere)}
    assert tested == set(failpoints.NAMES)
