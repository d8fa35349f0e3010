"""The other screens: who may see them, what they show, what can be done there."""

import io
from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.services.access import keys
from app.services.accounts import add
from app.services.gateway import Gateway
from app.services.money import budgets
from tests.api.dashboard.test_batches import shapes
from tests.conftest import KeyClient
from tests.support.batches import chat_line, create, jsonl
from tests.support.browsing import Browser, parsed

FOR_ADMINS = ("/ui/now", "/ui/accounts", "/ui/usage", "/ui/usage.csv", "/ui/events")
FOR_ALL = ("/ui/batches", "/ui/files", "/ui/containers", "/ui/webhooks", "/ui/keys", "/ui/expiring")
CHARGE = """
    INSERT INTO usage_ledger (charge_key, kind, project_id, key_id, account_id, batch_id, provider, model, execution,
                              created_at)
    SELECT 'k', 'line', project_id, key_id, account_id, id, provider, 'm', execution, created_at FROM batches
"""
HOSTILE = "<img src=x onerror=alert(1)>"


def test_who_sees_which_screen(gateway: Gateway, enter: Callable[..., Browser]) -> None:
    boss, member, viewer = enter("admin"), enter("member"), enter("viewer")
    for path in (*FOR_ADMINS, *FOR_ALL):
        assert boss.get(path).status_code == 200, path
        for browser in (member, viewer):
            assert browser.get(path).status_code == (403 if path in FOR_ADMINS else 200), path
    for path in ("/ui/keys", "/ui/keys/x/revoke", "/ui/keys/x/rotate", "/ui/accounts/local/env/test",
                 "/ui/accounts/local/env/switch", "/ui/accounts/local/env/ceiling", "/ui/accounts/local/env/resume",
                 "/ui/batches/x/resolve"):  # fmt: skip
        assert member.post(path, name="n", to="off", max_concurrency="1").status_code == 403, path
    links = {each.attributes["href"] for each in member.page("/ui/batches").all("a") if "href" in each.attributes}
    assert links.issuperset(FOR_ALL) and not links & set(FOR_ADMINS)


def test_keys_are_issued_rotated_and_revoked(gateway: Gateway, enter: Callable[..., Browser]) -> None:
    boss, member = enter("admin"), enter("member")
    theirs = keys.create(gateway, project="beta", name="theirs").public_id
    page = parsed(boss.post("/ui/keys", name=HOSTILE, role="viewer").text)
    [issued] = [each.text for each in page.all("pre")]
    caller = keys.authenticate(gateway, issued, request_id="r")
    assert (caller.project, caller.role) == ("alpha", "viewer")
    assert shapes(boss.page("/ui/keys")).isdisjoint({("img", ("onerror", "src"))})
    assert caller.name in boss.get("/ui/keys").text and caller.name not in member.get("/ui/keys").text
    assert parsed(boss.post(f"/ui/keys/{caller.name}/rotate").text).elements
    assert boss.post(f"/ui/keys/{caller.name}/revoke").status_code == 303
    assert keys.retrieve(gateway, caller.name).state == "revoked"
    for path in (f"/ui/keys/{theirs}/revoke", f"/ui/keys/{theirs}/rotate", f"/ui/keys/{theirs}\0/revoke"):
        assert boss.post(path).status_code == 404
    assert boss.get(f"/ui/keys?after={theirs}").status_code == 404
    budgets.set_(gateway, project="alpha", period="day", limit_picodollars=5 * 10**12)
    budgets.set_(gateway, project="alpha", key=caller.name, period="month", limit_picodollars=7 * 10**12)
    assert "$5.00" in member.get("/ui/keys").text and "$7.00" not in member.get("/ui/keys").text
    assert "$7.00" in boss.get("/ui/keys").text


def test_accounts_are_tried_switched_and_limited(gateway: Gateway, enter: Callable[..., Browser]) -> None:
    boss = enter("admin")
    at = "/ui/accounts/local/env"
    assert "emulated" in boss.get("/ui/accounts").text
    tried = boss.post(f"{at}/test")  # nothing listens there
    assert tried.status_code == 200 and "It works" not in tried.text
    assert boss.post(f"{at}/switch", to="off").status_code == 303 and "Enable" in boss.get("/ui/accounts").text
    assert boss.post(f"{at}/switch", to="on").status_code == 303 and "Enable" not in boss.get("/ui/accounts").text
    assert boss.post(f"{at}/ceiling", max_concurrency="7").status_code == 400  # the environment has it
    add.add(gateway, add.NewAccount("groq", "own", credential="gsk_" + "x" * 52))
    assert boss.post("/ui/accounts/groq/own/ceiling", max_concurrency="7").status_code == 303
    assert 'value="7"' in boss.get("/ui/accounts").text
    assert boss.post(f"{at}/resume").status_code == 303
    for path, fields in (("switch", {"to": "x"}), ("ceiling", {"max_concurrency": "-1"})):
        assert boss.post(f"{at}/{path}", **fields).status_code == 400
    assert boss.post("/ui/accounts/local/none/test").status_code == 404


def test_what_goes_on_what_happened_and_what_ends(
    gateway: Gateway, client: KeyClient, other_client: KeyClient, enter: Callable[..., Browser]
) -> None:
    boss = enter("admin")
    made = create(client, jsonl([chat_line("a")]), metadata={"name": "Mine"})
    foreign = create(other_client, jsonl([chat_line("a")]))
    now = boss.get("/ui/now").text
    assert made["id"] in now and foreign["id"] in now and "local" in now
    events = boss.get("/ui/events").text
    assert made["id"] in events and foreign["id"] not in events
    assert foreign["id"] in boss.get("/ui/events?of=all&operation=batch_create").text
    assert made["id"] not in boss.get(f"/ui/events?object={made['input_file_id']}").text
    assert made["id"] not in boss.get("/ui/events?outcome=refused").text
    assert boss.get("/ui/events?after=x").status_code == 400
    soon = boss.get("/ui/expiring").text
    assert made["id"] in soon and foreign["id"] not in soon
    assert boss.get("/ui/usage?of=all&days=30&by=project").status_code == 200
    sheet = boss.get("/ui/usage.csv?by=model")
    assert sheet.text.startswith("model,") and sheet.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.one_database
def test_cells_of_a_sheet_are_no_formulas(gateway: Gateway, client: KeyClient, enter: Callable[..., Browser]) -> None:
    create(client, jsonl([chat_line("a")]))
    with gateway.database.write() as connection:
        connection.execute(text("UPDATE virtual_keys SET name = '=cmd|x'"))
        connection.execute(text(CHARGE))
    assert ",'=cmd|x," in enter("admin").get("/ui/usage.csv?by=key").text


def test_containers_and_the_files_in_them(client: KeyClient, member: Browser) -> None:
    made = client.post("/v1/containers", json={"name": HOSTILE, "provider": "local"}).json["id"]
    form = {"file": (io.BytesIO(b"data"), "a.txt")}
    inside = client.post(f"/v1/containers/{made}/files", data=form).json["id"]
    for path in ("/ui/containers", f"/ui/containers/{made}"):
        assert not [each for each in member.page(path).all("img") if "onerror" in each.attributes]
    content = member.get(f"/ui/containers/{made}/files/{inside}/content")
    assert content.data == b"data" and content.headers["Content-Security-Policy"] == "sandbox"
    assert member.post(f"/ui/containers/{made}/delete").status_code == 303
    assert member.get(f"/ui/containers/{made}").status_code == 404


def test_endpoints_of_webhooks_are_made_and_deleted(gateway: Gateway, enter: Callable[..., Browser]) -> None:
    member, viewer = enter("member"), enter("viewer")
    made = parsed(member.post("/ui/webhooks", name=HOSTILE, url="https://example.com/hook").text)
    assert next(each.text for each in made.all("pre")).startswith("whsec_")
    page = member.page("/ui/webhooks")
    assert not [each for each in page.all("img") if "onerror" in each.attributes]
    [at] = [path for each in page.all("form") if (path := each.attributes["action"]).endswith("/delete")]
    assert "whsec_" not in member.get("/ui/webhooks").text and viewer.get("/ui/webhooks").status_code == 200
    assert viewer.post(at).status_code == 403
    assert member.post("/ui/webhooks", name="a", url="http://127.0.0.1/").status_code == 400
    assert member.post("/ui/webhooks/deliveries/none/replay").status_code == 404
    assert member.post(at).status_code == 303
    assert "No endpoints" in member.get("/ui/webhooks").text
