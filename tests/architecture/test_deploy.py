"""deploy/nginx.conf: what the gateway's answers carry comes through, and bodies wait for a good key."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.support.web import application

pytestmark = pytest.mark.one_database

TEXT = re.sub(r"#.*", "", (Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf").read_text())
# What nginx itself keeps of an answer with X-Accel-Redirect, or makes for the file.
KEPT = {"content-type", "content-disposition", "x-accel-redirect", "content-length"}


def location(name: str) -> str:
    found = re.search(rf"location {re.escape(name)} \{{(.*?)\}}", TEXT, re.DOTALL)
    assert found is not None, name
    return found[1]


def test_a_file_that_nginx_sends_has_the_headers_of_the_gateway(gateway: Gateway) -> None:
    behind = replace(gateway, settings=replace(gateway.settings, accel_prefix="/_blobs/"))
    client = application(behind).test_client()
    key = {"Authorization": f"Bearer {keys.create(gateway, project='alpha', name='nginx').key}"}
    form = {"purpose": "user_data", "file": (io.BytesIO(b"hello"), "a.txt")}
    file = client.post("/v1/files", data=form, headers=key).get_json()["id"]
    sent = client.get(f"/v1/files/{file}/content", headers={**key, "Range": "bytes=1-2"})
    assert "X-Accel-Redirect" in sent.headers
    assert len(sent.headers.getlist("ETag")) == 1
    blobs = location("/_blobs/")
    for name in {name.lower() for name, _ in sent.headers} - KEPT:
        assert re.search(rf"(?i)add_header {name} \$upstream_http_{name.replace('-', '_')}", blobs), name
    assert "etag off;" in blobs
    assert "internal;" in blobs


def test_nginx_asks_about_the_key_wherever_a_body_may_be_large(gateway: Gateway) -> None:
    flask = application(gateway)
    pattern = next(name for name in re.findall(r"location ~ (\S+) \{", TEXT))
    large = {"file_upload", "upload_part_add", "batch_create", "container_file_create"}
    found = set()
    for rule in flask.url_map.iter_rules():
        operation = getattr(flask.view_functions[rule.endpoint], "request_type", "")
        if operation in large and not rule.rule.startswith("/ui/"):  # whose bodies are small
            found.add(operation)
            assert re.search(pattern, re.sub(r"<[^>]*>", "x", rule.rule)), rule.rule
    assert found == large
    asked = location(f"~ {pattern}")
    assert re.search(r"auth_request (\S+);", asked)
    assert "error_page 401 403 500 = @refused;" in asked
    assert "/keycheck$is_args$args;" in location("= /_keycheck")
    assert 'proxy_set_header Content-Length "";' in location("= /_keycheck")
    assert "proxy_request_buffering off;" in location("@refused")
