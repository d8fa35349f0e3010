"""Who is signed in to the dashboard, how that begins and ends, and what it is good for."""

import json
import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from app.data.backups import rows as copied
from app.services.access import keys, sessions
from app.services.gateway import Gateway
from app.services.upkeep.sweep import sweep
from tests.auth import tokens
from tests.support.browsing import Browser
from tests.support.web import application

USERS = {"kind": "virtual_key", "claims": {"project": "team", "subject": "sub", "role": "role"}}
ADMINS = "admins.example"
SHARED = {"algorithms": ["HS256"], "audience": [tokens.AUDIENCE]}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    issuers = [
        {"issuer": tokens.SHARED_ISSUER, **USERS, **SHARED, "secret": tokens.SECRET},
        {"issuer": ADMINS, "kind": "admin", **SHARED, "secret": tokens.SECRET[::-1]},
    ]
    return {**environment, "BATCHGATE_JWT_ISSUERS": json.dumps(issuers)}


def change(gateway: Gateway, statement: str, **values: object) -> None:
    with gateway.database.write() as connection:
        connection.execute(text(statement), values)


def is_in(browser: Browser) -> bool:
    answer = browser.get("/ui/batches")
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


def test_signing_in_gives_a_cookie_that_nothing_else_can_use(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="a").key
    browser = Browser(application(gateway))
    assert browser.get("/ui/batches").headers["Location"] == "/ui/sign-in?next=%2Fui%2Fbatches"
    answer = browser.sign_in(key, next="/ui/batches?status=failed")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/batches?status=failed")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/ui" in cookie and "Secure" not in cookie
    assert is_in(browser)
    with gateway.database.read() as connection:
        row = str(connection.execute(text("SELECT * FROM ui_sessions")).mappings().one())
    assert browser.cookie not in row and key not in row and key.removeprefix("sk-bf-").partition("-")[2] not in row
    # Not a credential of the API, in whichever place.
    for path in ("/v1/files", "/api/projects", "/openai/v1/batches", "/keycheck"):
        for headers in (
            {"Cookie": f"batchgate_session={browser.cookie}"},
            {"Authorization": f"Bearer {browser.cookie}"},
        ):
            assert browser.client.get(path, headers=headers).status_code == 401, path
    # And a key in a header opens no page.
    assert application(gateway).test_client().get("/ui/batches", headers={"x-api-key": key}).status_code == 303


@pytest.mark.one_database
def test_a_cookie_goes_over_https_alone_where_there_is_https(gateway: Gateway) -> None:
    for headers in ({"X-Forwarded-Proto": "https"}, {"Origin": "https://localhost"}):
        answer = application(gateway).test_client().get("/ui/sign-in", headers=headers)
        assert "; Secure" in answer.headers["Set-Cookie"]


@pytest.mark.one_database
def test_a_token_that_somebody_planted_is_not_the_one_of_the_session(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="a").key
    victim, planted = Browser(application(gateway)), sessions.new_token()
    victim.client.set_cookie("batchgate_session", planted, path="/ui")
    assert victim.sign_in(key).status_code == 303
    assert victim.cookie not in ("", planted) and is_in(victim)
    thief = Browser(application(gateway))
    thief.client.set_cookie("batchgate_session", planted, path="/ui")
    assert not is_in(thief)
    # Signing in anew ends the session that the browser had.
    before = victim.cookie
    victim.client.get("/ui/sign-in")
    assert victim.post("/ui/sign-in", credential=key).status_code == 303
    thief.client.set_cookie("batchgate_session", before, path="/ui")
    assert not is_in(thief)


def test_a_session_ends_with_its_key(gateway: Gateway) -> None:
    ends: list[Callable[[str], object]] = [
        lambda name: keys.revoke(gateway, name),
        lambda name: keys.expire(gateway, name),
        lambda name: keys.rotate(gateway, name, grace_s=0),
        lambda _: change(gateway, "UPDATE projects SET archived_at = 1 WHERE name = 'alpha'"),
    ]
    for end in ends:
        issued = keys.create(gateway, project="alpha", name="a")
        browser = Browser(application(gateway), issued.key)
        assert is_in(browser)
        end(issued.public_id)
        assert not is_in(browser)


def test_a_session_ends_by_itself_and_is_swept(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="a").key
    signed_out, unused, old, open_ = (Browser(application(gateway), key) for _ in range(4))
    digest = {name: sessions._digest(b.cookie) for name, b in {"unused": unused, "old": old}.items()}
    change(
        gateway,
        "UPDATE ui_sessions SET seen_at = seen_at - :t WHERE token_sha256 = :d",
        t=sessions.IDLE_MS,
        d=digest["unused"],
    )
    change(gateway, "UPDATE ui_sessions SET expires_at = created_at WHERE token_sha256 = :d", d=digest["old"])
    kept = signed_out.cookie
    assert signed_out.post("/ui/sign-out").headers["Location"] == "/ui/sign-in"
    assert not signed_out.cookie
    signed_out.client.set_cookie("batchgate_session", kept, path="/ui")
    assert [is_in(browser) for browser in (signed_out, unused, old, open_)] == [False, False, False, True]
    assert sweep(gateway)["ui_sessions"] == 2
    assert is_in(open_)
    assert "ui_sessions" not in [table.name for table in copied.tables()]


def test_looking_for_news_does_not_keep_a_session_alive(gateway: Gateway, member: Browser) -> None:
    change(gateway, "UPDATE ui_sessions SET seen_at = seen_at - 120000")
    with gateway.database.read() as connection:
        before = connection.execute(text("SELECT seen_at FROM ui_sessions")).scalar_one()
        member.get("/ui/batches", headers={"X-Batchgate-Live": "1"})
        assert connection.execute(text("SELECT seen_at FROM ui_sessions")).scalar_one() == before
        member.get("/ui/batches")
        assert connection.execute(text("SELECT seen_at FROM ui_sessions")).scalar_one() > before


def test_tokens_sign_in_and_end_when_they_do(gateway: Gateway) -> None:
    keys.create(gateway, project="alpha", name="a")
    soon = int(time.time()) + 600
    user = Browser(application(gateway), tokens.shared(team="alpha", sub="ann", role="viewer", exp=soon))
    assert is_in(user) and "viewer" in user.get("/ui/batches").text
    with gateway.database.read() as connection:
        assert connection.execute(text("SELECT expires_at FROM ui_sessions")).scalar_one() == soon * 1000
    import jwt

    operator = jwt.encode(tokens.claims(iss=ADMINS, team=None), tokens.SECRET[::-1], algorithm="HS256")
    boss = Browser(application(gateway), operator)
    assert is_in(boss)
    change(gateway, "UPDATE virtual_keys SET revoked_at = 1 WHERE issuer = :i", i=ADMINS)
    assert not is_in(boss)
    bad = Browser(application(gateway)).sign_in(tokens.shared("another secret of at least 32 bytes", team="alpha"))
    assert bad.status_code == 401


@pytest.mark.one_database
def test_guessing_is_slowed_down(gateway: Gateway) -> None:
    browser = Browser(application(gateway))
    statuses = [browser.sign_in("sk-bf-0123456789abcdef-guess").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    answer = browser.sign_in(keys.create(gateway, project="alpha", name="a").key)
    assert answer.status_code == 429 and 1 <= int(answer.headers["Retry-After"]) <= 60


@pytest.fixture
def attacks(gateway: Gateway, member: Browser) -> list[dict[str, object]]:
    """Forms that the member's browser would send for another site, or with another's token."""
    stranger = Browser(application(gateway))
    token, other = member.form_token(), stranger.form_token("/ui/sign-in")
    return [
        {"data": {}},
        {"data": {"csrf": ""}},
        {"data": {"csrf": other}},
        {"data": {"csrf": token}, "headers": {"Origin": "https://evil.example"}},
        {"data": {"csrf": token}, "headers": {"Origin": "null"}},
        {"data": {"csrf": token}, "headers": {"Sec-Fetch-Site": "cross-site"}},
        {"data": {"csrf": token}, "headers": {"Sec-Fetch-Site": "same-site"}},
        {"data": {}, "headers": {"X-CSRF-Token": other}},
        {"data": {}, "headers": {"X-CSRF-Token": "ä".encode().decode("latin-1")}},
        {"json": {"csrf": token}},
    ]


@pytest.mark.one_database
def test_every_change_needs_a_form_of_this_browser(
    gateway: Gateway, member: Browser, attacks: list[dict[str, object]]
) -> None:
    flask = application(gateway)
    rules = [
        rule for rule in flask.url_map.iter_rules() if rule.rule.startswith("/ui") and "POST" in (rule.methods or ())
    ]
    assert len(rules) > 5
    for rule in rules:
        path = rule.rule.replace("<batch_id>", "batch_1").replace("<path:path>", "x")
        for attack in attacks:
            answer = member.client.post(path, **attack)
            assert answer.status_code == 403, (path, attack, answer.text)
    assert is_in(member)


def test_roles_are_those_of_the_api(gateway: Gateway, enter: Callable[..., Browser]) -> None:
    enter("member", "beta")
    boss, ann, vic = enter("admin"), enter("member"), enter("viewer")
    assert ann.post("/ui/project", project="beta").status_code == 403
    assert vic.post("/ui/batches/batch_1/cancel").status_code == 403
    assert ann.post("/ui/batches/batch_1/cancel").status_code == 404
    offered = [each.attributes.get("value") for each in boss.page("/ui/batches").all("option")]
    assert {"alpha", "beta"} <= set(offered) and "beta" not in ann.get("/ui/batches").text
    assert boss.post("/ui/project", project="nowhere").status_code == 404
    assert boss.post("/ui/project", project="beta").status_code == 303
    assert 'value="beta"' in boss.get("/ui/batches").text
    # Who stops being an admin is in the project of the key again.
    change(gateway, "UPDATE virtual_keys SET role = 'member' WHERE role = 'admin'")
    shown = boss.get("/ui/batches").text
    assert ">alpha<" in shown and "beta" not in shown


@pytest.mark.one_database
def test_only_pages_of_ours_are_returned_to(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="a").key
    for target in (
        "https://evil.example",
        "//evil.example",
        "/ui//evil.example",
        "/ui/\\evil",
        "/uix",
        "/v1/files",
        "/ui/\r\nX: 1",
    ):
        browser = Browser(application(gateway))
        assert browser.sign_in(key, next=target).headers["Location"] == "/ui"


@pytest.mark.one_database
def test_a_browser_at_the_root_is_led_to_the_dashboard_and_others_are_not(gateway: Gateway) -> None:
    client = application(gateway).test_client()
    assert client.get("/", headers={"Accept": "text/html,*/*;q=0.8"}).headers["Location"] == "/ui"
    for accept in ("*/*", "application/json", "text/*", "text/html;q=0"):
        answer = client.get("/", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (404, "application/json")
    assert client.post("/", headers={"Accept": "text/html"}).status_code == 404
