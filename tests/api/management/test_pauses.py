"""Pauses over HTTP: what providers refuse, and ending it."""

import pytest

from app.data.batches import pauses
from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient


@pytest.fixture
def paused(gateway: Gateway, caller: Caller) -> None:
    """The account `local/env` is paused for one model, and for one project as a whole."""
    (account_id,) = gateway.accounts.ids()
    words = {"kind": "account", "status_code": 429, "code": "insufficient_quota", "message": "Nothing left."}
    with gateway.database.write() as connection:
        for model, project_id in (("m", None), ("", caller.project_id)):
            pauses.note(connection, account_id=account_id, model=model, project_id=project_id, pause_ms=60_000, **words)


@pytest.mark.usefixtures("paused")
def test_pauses_are_listed_with_the_providers_words(admin: KeyClient) -> None:
    listed = admin.get("/api/pauses?limit=1").json
    (first,) = listed["data"]
    assert (first["account"], first["model"], first["project"], first["kind"]) == ("local/env", "m", None, "account")
    assert (first["status_code"], first["code"], first["message"]) == (429, "insufficient_quota", "Nothing left.")
    assert first["since"] < first["paused_until"] <= first["since"] + 61
    assert listed["has_more"]
    (second,) = admin.get(f"/api/pauses?after={listed['last_id']}").json["data"]
    assert second["model"] is None
    assert second["project"] is not None


@pytest.mark.usefixtures("paused")
def test_ending_pauses_is_an_event(admin: KeyClient) -> None:
    ended = admin.delete("/api/pauses?account=local/env&model=m")
    assert (ended.status_code, ended.json["ended"]) == (200, 1)
    assert len(admin.get("/api/pauses").json["data"]) == 1
    assert admin.delete("/api/pauses?account=local/env").json["ended"] == 1
    assert admin.get("/api/pauses").json["data"] == []
    events = admin.get("/api/events?operation=pause_end&order=asc").json["data"]
    assert [event["detail"]["model"] for event in events] == ["m", None]


@pytest.mark.parametrize("account", ["local/nobody", "local", "", "/", "local/%00"])
def test_an_account_that_is_not_there(admin: KeyClient, account: str) -> None:
    assert admin.delete(f"/api/pauses?account={account}").status_code in (400, 404)


def test_the_account_has_to_be_named(admin: KeyClient) -> None:
    assert admin.delete("/api/pauses").json["error"]["param"] == "account"
