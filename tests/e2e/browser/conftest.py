"""Chromium at the dashboard of a gateway with a worker, over a connection that can be cut."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.services.gateway import Gateway
from tests.e2e.browser.cutting import Cutting
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.server import LiveServer
from tests.support.web import application

PATIENCE_MS = 30_000
SIZES = {"wide": (1280, 800), "phone": (390, 844)}


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


@pytest.fixture
def line(gateway: Gateway) -> Iterator[Cutting]:
    """The gateway is at `127.0.0.1:{line.port}`."""
    with LiveServer(application(gateway)) as server:
        found = Cutting(int(server.url.rpartition(":")[2]))
        yield found
        found.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Chromium is needed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["light-wide", "dark-phone"])
def page(request: pytest.FixtureRequest, chromium: Browser, line: Cutting) -> Iterator[Page]:
    """A tab, whose console has to stay empty of errors."""
    theme, _, size = request.param.partition("-")
    width, height = SIZES[size]
    context = chromium.new_context(
        base_url=f"http://127.0.0.1:{line.port}",
        viewport={"width": width, "height": height},
        color_scheme=theme,
    )
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    tab = context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    tab.on("dialog", lambda dialog: dialog.accept())
    yield tab
    context.close()
    assert faults == []
