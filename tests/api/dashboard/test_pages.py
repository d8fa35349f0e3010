"""What holds for every page: what it may load, who may frame it, that it is made of parts of ours alone."""

import re

import pytest

from app.api.dashboard import assets, wording
from app.services.gateway import Gateway
from tests.support.browsing import Browser, parsed
from tests.support.web import application

pytestmark = pytest.mark.one_database

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
}  # fmt: skip
ELSEWHERE = re.compile(r"(https?:)?//")


def test_pages_load_nothing_from_elsewhere_and_have_no_script_in_them(gateway: Gateway, member: Browser) -> None:
    stranger = Browser(application(gateway))
    for browser, path, status in (
        (stranger, "/ui/sign-in", 200), (member, "/ui/batches", 200), (member, "/ui/nowhere", 404),
        (member, "/ui/batches/batch_nowhere", 404), (member, "/ui/batches?after=x", 400),
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == status
        assert set(answer.headers["Content-Security-Policy"].split("; ")) == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        for element in parsed(answer.text).elements:
            assert element.name != "style" and "style" not in element.attributes
            assert element.name != "script" or (element.attributes["src"] and not element.text)
            assert not [name for name in element.attributes if name.startswith("on")]
            for name in ("src", "href", "action"):
                assert not ELSEWHERE.match(element.attributes.get(name, ""))


def test_what_pages_load_may_be_kept_for_ever(gateway: Gateway) -> None:
    client = application(gateway).test_client()
    page = parsed(Browser(application(gateway)).get("/ui/sign-in").text)
    urls = [
        element.attributes.get("src") or element.attributes["href"]
        for element in page.elements
        if element.name in ("script", "link")
    ]
    assert len(urls) == 3
    for url in urls:
        answer = client.get(url)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, assets.FOR_EVER)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    other = client.get("/ui/static/0000/ui.css")  # of a page that another release made
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-cache")
    for name in ("..%2f__init__.py", "nothing.js", "ui.css%00"):
        assert client.get(f"/ui/static/{assets.loaded().version}/{name}").status_code in (303, 404)


def test_the_live_part_is_sent_when_it_has_changed(member: Browser) -> None:
    live = {"X-Batchgate-Live": "1"}
    first = member.get("/ui/batches", headers=live)
    assert first.status_code == 200 and "<html" not in first.text and "No batches yet" in first.text
    again = member.get("/ui/batches", headers={**live, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert member.get("/ui/batches").headers["ETag"] != first.headers["ETag"]


def test_the_colours_are_chosen_without_a_script(member: Browser) -> None:
    assert "data-theme" not in member.get("/ui/batches").text
    answer = member.post("/ui/theme", theme="dark", next="/ui/batches?q=1")
    assert answer.headers["Location"] == "/ui/batches?q=1"
    assert '<html lang="en" data-theme="dark">' in member.get("/ui/batches").text


def test_amounts_are_written_for_people() -> None:
    assert [wording.money(amount) for amount in (None, 0, 1, 2 * 10**9, 15 * 10**11, 12345 * 10**12)] == [
        "unknown", "$0", "< $0.001", "$0.0020", "$1.50", "$12,345",
    ]  # fmt: skip
    assert [wording.duration(ms) for ms in (None, 40, 61_000, 3_600_000, 90_000_000, -61_000)] == [
        "-", "40 ms", "1 min 1 s", "1 h", "1 d 1 h", "-1 min 1 s",
    ]  # fmt: skip
    assert [wording.size(count) for count in (None, 5, 2048, 200 * 2**20)] == ["-", "5 B", "2.0 KiB", "200.0 MiB"]
    assert wording.percent(999, 1000) == "99 %"
