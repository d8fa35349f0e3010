"""What `app/web/` overrides in gunicorn must exist there, take the same arguments, and still be called.

gunicorn documents none of these methods. If one is renamed, the override is silently never called: silent clients
would then hold threads for ever, and malformed requests would get gunicorn's HTML. When a test here fails after an
upgrade, compare `app/web/` with the new source of gunicorn before changing the bound in setup.cfg.
"""

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gunicorn import glogging
from gunicorn.http import unreader, wsgi
from gunicorn.workers import base, gthread

from app import web

# Our class and its base, the method, and where in gunicorn the call must be.
OVERRIDES: list[tuple[type, type, str, Any, str]] = [
    (web.Worker, gthread.ThreadWorker, "init_process", base.Worker, ""),
    (web.Worker, gthread.ThreadWorker, "load_wsgi", base.Worker, "self.load_wsgi()"),
    (web.Worker, gthread.ThreadWorker, "accept", gthread.ThreadWorker, "selectors.EVENT_READ, self.accept)"),
    (web.Worker, gthread.ThreadWorker, "on_client_socket_readable", gthread.ThreadWorker, "self.on_client_socket_re"),
    (web.Worker, gthread.ThreadWorker, "handle_request", gthread.ThreadWorker, "self.handle_request(req, conn)"),
    (web.Worker, gthread.ThreadWorker, "finish_request", gthread.ThreadWorker, "self.finish_request, conn, fut"),
    (web.Worker, gthread.ThreadWorker, "murder_pending", gthread.ThreadWorker, "self.murder_pending()"),
    (web.Worker, gthread.ThreadWorker, "_cap_keepalive", gthread.ThreadWorker, "self._cap_keepalive("),
    (web.Worker, gthread.ThreadWorker, "_keepalive_after", gthread.ThreadWorker, "self._keepalive_after(conn, "),
    (web.Worker, gthread.ThreadWorker, "handle_error", gthread.ThreadWorker, "self.handle_error(req, conn.sock, "),
    (web.Logger, glogging.Logger, "setup", glogging.Logger, "self.setup(cfg)"),
]


@pytest.mark.parametrize(("ours", "theirs", "method", "caller", "call"), OVERRIDES, ids=[row[2] for row in OVERRIDES])
def test_what_is_overridden_is_still_called_with_the_same_arguments(
    ours: type, theirs: type, method: str, caller: Any, call: str
) -> None:
    original = getattr(theirs, method, None)

    assert original is not None, f"gunicorn's {theirs.__name__} has no {method} any more: app/web overrides nothing"
    assert method in vars(ours)
    assert list(inspect.signature(getattr(ours, method)).parameters) == list(inspect.signature(original).parameters)
    assert call in inspect.getsource(caller), f"gunicorn no longer calls {method}: app/web has no effect"


def test_every_override_is_in_the_list() -> None:
    listed = {(ours, method) for ours, _, method, _, _ in OVERRIDES}

    for ours, theirs in ((web.Worker, gthread.ThreadWorker), (web.Logger, glogging.Logger)):
        assert {(ours, name) for name in vars(ours) if hasattr(theirs, name) and not name.startswith("__")} <= listed


def test_connections_are_what_our_worker_takes_them_for() -> None:
    """gunicorn reads through `conn.sock`, takes what was put back first, and skips its own wait for `initialized`."""
    connection, worker = inspect.getsource(gthread.TConn), inspect.getsource(gthread.ThreadWorker)

    assert "self.sock = sock" in connection
    assert "http.get_parser(self.cfg, self.sock, self.client)" in connection
    assert "if not conn.initialized and not conn.data_ready" in worker
    assert "futures.ThreadPoolExecutor(" in worker
    assert ThreadPoolExecutor(1)._work_queue.qsize() == 0
    assert list(inspect.signature(unreader.Unreader.unread).parameters) == ["self", "data"]
    assert list(inspect.signature(unreader.Unreader.take_buffered).parameters) == ["self"]


def test_an_answer_can_be_the_last_one_of_its_connection() -> None:
    """`force_close` through the bound `start_response`, and no 100 before the body is read."""
    assert "resp.start_response" in inspect.getsource(gthread.ThreadWorker.handle_request)
    assert callable(wsgi.Response.force_close)
    assert "if req._expected_100_continue" in inspect.getsource(wsgi.create)
