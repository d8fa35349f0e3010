"""Workers that die around the sending of a webhook: it arrives at least once, and is never lost."""

from pathlib import Path

import pytest
from sqlalchemy import select

from app.data.tables import webhook_deliveries
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.services.webhooks.conftest import Make, started
from tests.support.process import Process
from tests.support.receiver import Receiver
from tests.support.waiting import until

# Each with how often the message arrives.
FAIL_POINTS = {"webhook.before_send": 1, "webhook.after_send": 2, "webhook.after_commit": 1}


@pytest.mark.spread
@pytest.mark.parametrize("point", FAIL_POINTS)
def test_a_worker_that_dies_while_it_delivers_loses_nothing(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    endpoint: Make,
    receiver: Receiver,
    point: str,
) -> None:
    endpoint()
    batch = started(client)
    client.post(f"/v1/batches/{batch}/cancel")
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died, what=f"the death at {point}")
    with Process("worker", environment):
        until(lambda: state(gateway) == "delivered")
    assert len(receiver.received) == FAIL_POINTS[point]
    assert len(set(receiver.event_ids)) == 1
    assert receiver.received[-1].event["data"]["id"] == batch


def state(gateway: Gateway) -> str:
    with gateway.database.read() as connection:
        return str(connection.execute(select(webhook_deliveries.c.state)).scalar_one())
