"""What somebody does at the dashboard on a day, in a real browser, in both themes, at a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.browser.cutting import Cutting
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers

pytestmark = pytest.mark.one_database

LINES = 300
PADDING = "x" * 40_000
# A file that the browser itself makes, and lets fall on the page.
DROP = """([name, lines, padding, refused]) => {
  const text = Array.from({length: lines}, (_, n) => JSON.stringify({
    custom_id: `q-${n}`, method: "POST", url: "/v1/chat/completions",
    body: {model: "m", messages: [{role: "user", content: padding + (n < 2 ? refused : "hello")}]},
  }) + "\\n");
  const data = new DataTransfer();
  data.items.add(new File(text, name, {lastModified: 1}));
  document.getElementById("upload").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
}"""


def check(page: Page) -> None:
    """Nothing serious for somebody who cannot see or use a mouse, and nothing wider than the screen."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


def test_upload_by_drag_over_a_cut_run_watch_and_rerun(
    gateway: Gateway, page: Page, line: Cutting, workers: Workers, fake: FakeServer
) -> None:
    key = keys.create(gateway, project="alpha", name="Ann").key
    page.goto("/")
    check(page)
    page.get_by_label("Virtual key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Batches")).to_be_visible()
    page.get_by_role("link", name="Files", exact=True).click()
    expect(page.get_by_text("Drop a file here")).to_be_visible()
    check(page)

    # 12 MB in parts of 8 MiB; the line is cut in the second one.
    line.cut_after = 10 * 2**20
    page.evaluate(DROP, ["dropped.jsonl", LINES, PADDING, "refuse-this"])
    expect(page.get_by_role("heading", name="dropped.jsonl")).to_be_visible()
    assert line.cuts == 1
    expect(page.get_by_text(f"{LINES}", exact=True).first).to_be_visible()
    check(page)

    fake.latency_s = 30.0  # until it is released
    page.get_by_label("Name").fill("Dropped")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("validating").or_(page.get_by_text("in progress")).first).to_be_visible()
    # Watched, not loaded again.
    page.evaluate("window.stays = true")
    workers.start()
    expect(page.get_by_text("in progress", exact=True)).to_be_visible()
    check(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("in progress", exact=True)).to_be_visible()
    page.evaluate("window.stays = true")
    fake.release()
    expect(page.get_by_text("completed", exact=True).first).to_be_visible()
    assert page.evaluate("window.stays")
    check(page)

    page.get_by_role("link", name="First line").click()
    expect(page.get_by_role("heading", name="Translated request")).to_be_visible()
    expect(page.locator("pre").last).to_contain_text("The prompt was refused.")
    check(page)
    page.go_back()
    page.get_by_role("button", name="Retry failed").click()
    expect(page.get_by_text("This is the new batch")).to_be_visible()
    expect(page.get_by_text("completed", exact=True).first).to_be_visible()
    page.get_by_role("link", name="Batches", exact=True).first.click()
    expect(page.get_by_text("Dropped").first).to_be_visible()
    check(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Virtual key")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_label("Virtual key")).to_be_visible()
