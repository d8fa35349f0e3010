"""The page that describes the API, in Chromium under its own policy."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.one_database, pytest.mark.timeout(120)]


def test_operations_can_be_read(page: Page) -> None:
    page.goto("/docs")
    expect(page.locator(".opblock-tag").first).to_be_visible()
    expect(page.get_by_role("heading", name="Batchgate")).to_be_visible()
    page.locator(".opblock-tag", has_text="Batches").first.click()
    page.get_by_text("Start a batch on an uploaded file").first.click()
    expect(page.get_by_text("completion_window").first).to_be_visible()
