"""Off-peak hours: when they are, batches that wait for them, and what lines cost in them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from app.cli import batchgate
from app.data.tables import batches, usage_ledger
from app.lib import hours
from app.services.access import keys
from app.services.accounts import off_peak
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.money import price
from tests.support.waiting import until

LINES = jsonl(chat_line(f"c{n}") for n in range(3))
PATH = "/api/accounts/local/env/off_peak"
LOCAL = {"provider": "local", "name": "env"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("window", "now", "begins", "ends"),
    [
        ({}, "2026-12-01 20:00", "2026-12-01 16:30", "2026-12-02 00:30"),
        ({}, "2026-12-01 00:10", "2026-11-30 16:30", "2026-12-01 00:30"),
        ({}, "2026-12-01 00:30", "2026-12-01 16:30", "2026-12-02 00:30"),
        ({"days": "sat"}, "2026-12-01 12:00", "2026-12-05 16:30", "2026-12-06 00:30"),
        ({"days": "sat"}, "2026-12-06 00:10", "2026-12-05 16:30", "2026-12-06 00:30"),
        ({"zone": "Asia/Shanghai"}, "2026-12-01 12:00", "2026-12-01 08:30", "2026-12-01 16:30"),
        # An hour longer: clocks go back that night.
        ({"zone": "Europe/Berlin", "ends": "06:00"}, "2026-10-24 20:00", "2026-10-24 14:30", "2026-10-25 05:00"),
    ],
)
def test_when_hours_are(window: dict[str, Any], now: str, begins: str, ends: str) -> None:
    found = hours.parsed(**{"begins": "16:30", "ends": "00:30", "zone": "UTC", "percent": 50, **window})
    assert hours.span([found], at(now)) == (at(begins), at(ends))
    assert hours.percent([found], at(now)) == (50 if at(begins) <= at(now) else 100)
    assert (hours.span([], at(now)), hours.percent([], at(now))) == (None, 100)


def test_a_batch_waits_for_the_hours_of_its_account_again_and_again(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    body = {"input_file_id": create(client, LINES)["input_file_id"], "endpoint": "/v1/chat/completions"}
    refused = client.post("/v1/batches", json={**body, "not_before": "off_peak"})
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "not_before")
    hour = datetime.now(UTC).hour
    night = {"begins": f"{(hour + 2) % 24:02}:00", "ends": f"{(hour + 3) % 24:02}:00", "zone": "UTC"}
    off_peak.set_(gateway, [off_peak.read(**night)], **LOCAL)
    batch = client.post("/v1/batches", json={**body, "not_before": "off_peak"}).json
    assert batch["off_peak"] is True
    assert batch["not_before"] == batch["expires_at"] - 86_400
    # As if its hours were just over: it waits for the next ones, and no line is sent meanwhile.
    mine = update(batches).where(batches.c.public_id == batch["id"])
    with gateway.database.write() as connection:
        connection.execute(mine.values(not_before=1, off_peak_until=2))
    workers.start()
    until(lambda: retrieve(client, batch["id"])["not_before"] == batch["not_before"])
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    waits = retrieve(client, batch["id"])["waiting_on"]
    assert (waits["reason"], waits["until"]) == ("off_peak", batch["not_before"])
    assert retrieve(client, batch["id"])["request_counts"]["completed"] == 0
    off_peak.set_(gateway, [off_peak.read(begins="00:00", ends="00:00", zone="UTC")], **LOCAL)
    begun = client.post(f"/v1/batches/{batch['id']}", json={"not_before": "off_peak"}).json
    assert begun["off_peak"] is True
    assert ended(client, batch["id"])["request_counts"]["completed"] == 3


def test_a_line_costs_what_is_paid_at_its_hour(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway, environment: dict[str, str]
) -> None:
    price(gateway)
    workers.start()
    full = ended(client, create(client, LINES)["id"])
    key = keys.create(gateway, project="ops", name="admin", role="admin").key
    admin = {"Authorization": f"Bearer {key}"}
    window = {"begins": "00:00", "ends": "00:00", "percent": 25, "model": "m"}
    answer = client.put(PATH, json={"windows": [window]}, headers=admin)
    assert answer.status_code == 200, answer.text
    assert client.get(PATH, headers=admin).json["data"] == answer.json["data"]
    quarter = ended(client, create(client, LINES)["id"])
    found: list[list[int]] = []
    for batch in (full, quarter):
        mine = select(batches.c.id).where(batches.c.public_id == batch["id"])
        costs = select(usage_ledger.c.cost_picodollars).where(usage_ledger.c.batch_id.in_(mine))
        with gateway.database.read() as connection:
            found.append(sorted(connection.execute(costs).scalars()))
    assert [-(-cost // 4) for cost in found[0]] == found[1]
    assert all(found[1])
    odd = client.put(PATH, json={"windows": [{**window, "begins": "25:00"}]}, headers=admin)
    assert (odd.status_code, odd.json["error"]["param"]) == (400, "windows.begins")
    run = CliRunner(env=environment)
    assert "00:00-00:00 UTC 25% of m" in run.invoke(batchgate, ["prices", "off-peak", "local", "env"]).output
    arguments = ["prices", "off-peak", "local", "env", "--hours", "16:30-00:30", "--zone", "Asia/Shanghai"]
    assert "16:30-00:30 Asia/Shanghai 100%" in run.invoke(batchgate, arguments).output
