"""How often a provider is asked: once for any number of callers, never for lists."""

import threading

import pytest
from sqlalchemy import update

from app.data.files import files as file_rows
from app.data.tables import files
from app.services.copies import remote
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_files import made
from tests.conftest import KeyClient
from tests.services.copies.memory import MemoryProvider

API = '{"api": {}}'


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_REFRESH_SECONDS": "60"}


def test_a_stale_file_is_looked_at_once_by_any_number_of_callers(
    client: KeyClient, gateway: Gateway, caller: Caller, provider: MemoryProvider
) -> None:
    file_id = made(client, provider="openai", storage_config=API)["id"]
    with gateway.database.read() as connection:
        row = file_rows.resolve(connection, caller.project_id, file_id)
    assert row is not None
    with gateway.database.write() as connection:
        connection.execute(update(files).values(refreshed_at=1))
    together, asked = threading.Barrier(8), []

    def look() -> None:
        together.wait(10)
        asked.append(remote.refreshed(gateway, row)[1])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (sum(asked), provider.count("retrieve")) == (1, 1)


def test_lists_over_all_accounts_call_no_provider(
    client: KeyClient, gateway: Gateway, provider: MemoryProvider, other_provider: MemoryProvider
) -> None:
    ids = []
    for _ in range(3):
        ids.append(made(client, provider="openai", storage_config=API)["id"])
        gateway.accounts.found.reverse()  # type: ignore[attr-defined]
    provider.calls.clear()
    other_provider.calls.clear()
    seen, after = [], ""
    while True:
        page = client.get(f"/v1/files?limit=1&order=asc{after}").json
        seen += [item["id"] for item in page["data"]]
        assert all(item["extra_fields"]["native_id"] for item in page["data"])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert (seen, provider.calls, other_provider.calls) == (ids, [], [])
