"""OPTIONS and 405 name the methods that work, and no others."""

import pytest

from tests.conftest import KeyClient

pytestmark = pytest.mark.one_database

READ = "GET, HEAD, OPTIONS"
ALL = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
EVERYWHERE = {
    "/files": "GET, HEAD, OPTIONS, POST",
    "/files/x": "DELETE, GET, HEAD, OPTIONS",
    "/files/s3://bucket/key": "DELETE, GET, HEAD, OPTIONS",
    "/files/x/content": READ,
    "/uploads": "OPTIONS, POST",
    "/uploads/x/parts": "OPTIONS, POST",
    "/batches": "GET, HEAD, OPTIONS, POST",
    "/batches/x": "DELETE, GET, HEAD, OPTIONS, POST",
    "/batches/x/cancel": "OPTIONS, POST",
    "/containers/x": "DELETE, GET, HEAD, OPTIONS",
    "/containers/x/files/y": "DELETE, GET, HEAD, OPTIONS",
    "/containers/x/files/y/content": READ,
}
AT_AZURE = {"/batches/x": "DELETE, GET, HEAD, OPTIONS"}  # without the gateway's own routes
EXTRAS = {
    "/batches/x/pause": "OPTIONS, POST",
    "/files/x/estimate": READ,
    "/batches/x/results": READ,
    "/batches/x/lines": READ,
    "/batches/x/retry": "OPTIONS, POST",
    "/models": READ,
}
ROUTES = [
    *((f"{prefix}{path}", allowed) for prefix in ("/v1", "/openai/v1") for path, allowed in EVERYWHERE.items()),
    *((f"/openai/openai{path}", allowed) for path, allowed in {**EVERYWHERE, **AT_AZURE}.items()),
    *((f"/openai{path}", allowed) for path, allowed in EXTRAS.items()),
]


def test_options_and_405_name_the_methods_that_work(client: KeyClient) -> None:
    for path, allowed in ROUTES:
        asked = client.options(path)
        assert (asked.status_code, asked.headers.get("Allow")) == (200, allowed), path
        for method in set(ALL) - set(allowed.split(", ")):
            answer = client.open(path, method=method)
            assert (answer.status_code, answer.headers["Allow"]) == (405, allowed), (method, path)
            assert method == "HEAD" or allowed in answer.json["error"]["message"]


def test_the_methods_named_are_served(client: KeyClient) -> None:
    for path, allowed in ROUTES:
        for method in set(ALL) & set(allowed.split(", ")):
            assert client.open(path, method=method).status_code != 405, (method, path)


def test_a_path_without_any_method_is_not_there(client: KeyClient) -> None:
    for path in EXTRAS:
        for method in (*ALL, "OPTIONS"):
            assert client.open(f"/openai/openai{path}", method=method).status_code == 404, (method, path)
