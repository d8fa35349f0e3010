"""The description as it is served: cached, without a key, and its page with files of this host alone."""

import re

import pytest
from flask.testing import FlaskClient

from app.services.gateway import Gateway
from tests.support.web import application

pytestmark = pytest.mark.one_database


@pytest.fixture
def anybody(gateway: Gateway) -> FlaskClient:
    """A client without a key."""
    return application(gateway).test_client()


def test_the_document_is_made_once_and_sent_again_only_if_it_changed(anybody: FlaskClient) -> None:
    first = anybody.get("/openapi.json")
    assert first.mimetype == "application/json"
    tag = first.headers["ETag"]
    again = anybody.get("/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert anybody.get("/openapi.json").data == first.data
    head = anybody.head("/openapi.json")
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", tag)


def test_the_page_loads_scripts_from_this_host_alone(anybody: FlaskClient) -> None:
    page = anybody.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert (page.headers["X-Content-Type-Options"], page.headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    text = page.text
    assert re.findall(r"<script(?![^>]*src=)|\son\w+=|style=|https?://", text) == []
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(loaded) == 5
    for name in loaded:
        found = anybody.get(f"/{name}")
        assert found.status_code == 200, name
        assert len(found.data) > 100, name
        assert "ETag" in found.headers, name


def test_what_the_page_does_not_load_is_not_there(anybody: FlaskClient) -> None:
    for name in ("index.html", "..%2f__init__.py", "VERSION", "x"):
        found = anybody.get(f"/docs/{name}")
        assert found.status_code == 404
        assert found.json["error"]["code"] == "not_found"
