"""Lists of servers that take other queries than OpenAI: some require `after`, some refuse parameters."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from werkzeug import Request, Response

from app.connectors.contract.errors import RefusedError
from app.connectors.contract.paging import each_page
from tests.fakes.serving import ServedApp
from tests.support.openai_family import connect

STATUSES = {"containers": "running", "batches": "completed", "files": "processed"}
REQUIRED = {"detail": [{"type": "missing", "loc": ["query", "after"], "msg": "Field required"}]}


class Lists:
    """Three objects, two on a page where there are pages. `requires`, `takes`: parameters; `status`: of a refusal."""

    def __init__(self, *, requires: str = "", takes: tuple[str, ...] = ("limit", "after"), status: int = 422) -> None:
        self.requires, self.takes, self.status = requires, takes, status

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        query = parse_qs(request.query_string.decode(), keep_blank_values=True)
        if (self.requires and self.requires not in query) or not set(query) <= set(self.takes):
            return Response(orjson.dumps(REQUIRED), self.status)(environ, start_response)
        ids = ["file-1", "file-2", "file-3"]
        after = query.get("after", [""])[0]
        rest = ids[ids.index(after) + 1 if after else 0 :]
        status = next(word for part, word in STATUSES.items() if part in request.path)
        page = rest[:2] if "after" in self.takes else rest
        data = [{"id": name, "object": "file", "filename": "a", "path": "a", "status": status} for name in page]
        answer = {"object": "list", "data": data, "has_more": len(rest) > len(page)}
        return Response(orjson.dumps(answer), content_type="application/json")(environ, start_response)


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def server(lists: Lists) -> Iterator[ServedApp]:
    with ServedApp(lists) as served:
        yield served


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("kind", ["list_files", "list_jobs", "list_containers", "list_container_files"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"requires": "after"},
        {"requires": "limit"},
        {"takes": ("after",)},
        {"takes": ()},
        {"takes": ("order",)},
    ],
)
def test_all_is_listed(server: ServedApp, lists: Lists, fields: dict[str, Any], status: int, kind: str) -> None:
    lists.__init__(**fields, status=status)  # type: ignore[misc]
    connector = connect("openai", server.base_url)
    read: Any = getattr(connector, kind)
    if kind == "list_container_files":
        read = lambda *, after=None: connector.list_container_files("cntr_1", after=after)  # noqa: E731
    assert [item.id for page in each_page(read) for item in page.items] == ["file-1", "file-2", "file-3"]
    connector.check()
    connector.close()


def test_a_list_that_is_refused_whatever_is_asked_says_why(server: ServedApp, lists: Lists) -> None:
    lists.__init__(requires="tenant")  # type: ignore[misc]
    connector = connect("openai", server.base_url)
    with pytest.raises(RefusedError, match="Field required"):
        connector.list_files()
    assert [request.query for request in server.requests] == ["limit=100", "limit=100&after=", ""]
    connector.close()
