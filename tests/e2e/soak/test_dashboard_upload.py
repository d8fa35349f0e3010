"""200 MB dropped on the dashboard of a real browser, over a connection that is cut again and again."""

import pytest
from playwright.sync_api import Page, expect

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.browser.conftest import chromium, line, page  # noqa: F401 - fixtures
from tests.e2e.browser.cutting import Cutting
from tests.e2e.browser.test_a_day import DROP, PADDING

pytestmark = [pytest.mark.soak, pytest.mark.one_database]

LINES = 5000
CUTS = 3
WAIT_MS = 400_000


@pytest.mark.parametrize("page", ["light-wide"], indirect=True)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_large_file_arrives_whole(gateway: Gateway, page: Page, line: Cutting) -> None:  # noqa: F811
    key = keys.create(gateway, project="alpha", name="Ann").key
    page.goto("/ui/files")
    page.get_by_label("Virtual key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Drop a file here")).to_be_visible()
    line.cut_after = 30 * 2**20
    page.evaluate(DROP, ["large.jsonl", LINES, PADDING, "hello"])
    for cuts in range(1, CUTS + 1):
        page.wait_for_function("() => document.querySelector('#upload progress').value > 0", timeout=WAIT_MS)
        while line.cuts < cuts:
            page.wait_for_timeout(100)
        line.cut_after = 40 * 2**20 if cuts < CUTS else None
    expect(page.get_by_role("heading", name="large.jsonl")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("190.9 MiB").or_(page.get_by_text("191."))).to_be_visible()
    assert line.cuts == CUTS
