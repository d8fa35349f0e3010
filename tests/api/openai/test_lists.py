"""What all lists have in common: nothing is lost between pages, and the last page says that it is."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table, update

from app.data.tables import batches, containers, files
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.batches import CHAT, chat_line, jsonl, upload

NUMBER = 4
PER_PAGE = 2


def make_file(client: KeyClient) -> Any:
    return client.get(f"/v1/files/{upload(client, jsonl([chat_line('a')]))}")


def make_batch(client: KeyClient) -> Any:
    return client.post("/v1/batches", json={"requests": [{"custom_id": "a", "body": {"model": "m"}}], "endpoint": CHAT})


def make_container(client: KeyClient) -> Any:
    return client.post("/v1/containers", json={"name": "box"})


LISTS: dict[str, tuple[Table, Callable[[KeyClient], Any]]] = {
    "files": (files, make_file),
    "batches": (batches, make_batch),
    "containers": (containers, make_container),
}


@pytest.mark.parametrize("kind", LISTS)
def test_pages_lose_nothing_that_was_made_in_the_same_millisecond(
    gateway: Gateway, client: KeyClient, kind: str
) -> None:
    table, make = LISTS[kind]
    made = [answer.json["id"] for answer in (make(client) for _ in range(NUMBER)) if answer.status_code == 200]
    assert len(made) == NUMBER
    with gateway.database.write() as connection:
        connection.execute(update(table).values(created_at=1_900_000_000_000))

    first = client.get(f"/v1/{kind}?limit={PER_PAGE}").json
    rest = client.get(f"/v1/{kind}?limit={PER_PAGE}&after={first['last_id']}").json
    # A last page that is full looks no different from others but for this.
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [item["id"] for item in (*first["data"], *rest["data"])][:NUMBER] == made[::-1]
    for page in (first, rest):
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
