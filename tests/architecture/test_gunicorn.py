"""What `app/web.py` overrides in gunicorn must exist there, take the same arguments, and still be called.

gunicorn documents none of these methods. If one is renamed, the override is silently never called: silent clients
would then hold threads for ever, and malformed requests would get gunicorn's HTML. When a test here fails after an
upgrade, compare `app/web.py` with the new source of gunicorn before changing the bound in setup.cfg.
"""

import inspect
from typing import Any

import pytest
from gunicorn import glogging, util
from gunicorn.workers import base, gthread

from app import web

# Our class and its base, the method, and where in gunicorn the call must be.
OVERRIDES: list[tuple[type, type, str, Any, str]] = [
    (web.Worker, gthread.ThreadWorker, "init_process", base.Worker, ""),
    (web.Worker, gthread.ThreadWorker, "enqueue_req", gthread.ThreadWorker, "self.enqueue_req(conn)"),
    (web.Worker, gthread.ThreadWorker, "_keepalive_after", gthread.ThreadWorker, "self._keepalive_after(conn, "),
    (web.Worker, gthread.ThreadWorker, "handle_error", gthread.ThreadWorker, "self.handle_error(req, conn.sock, "),
    (web.Logger, glogging.Logger, "setup", glogging.Logger, "self.setup(cfg)"),
]


@pytest.mark.parametrize(("ours", "theirs", "method", "caller", "call"), OVERRIDES, ids=[row[2] for row in OVERRIDES])
def test_what_is_overridden_is_still_called_with_the_same_arguments(
    ours: type, theirs: type, method: str, caller: Any, call: str
) -> None:
    original = getattr(theirs, method, None)

    assert original is not None, f"gunicorn's {theirs.__name__} has no {method} any more: app/web.py overrides nothing"
    assert method in vars(ours)
    assert list(inspect.signature(getattr(ours, method)).parameters) == list(inspect.signature(original).parameters)
    assert call in inspect.getsource(caller), f"gunicorn no longer calls {method}: app/web.py has no effect"


def test_every_override_is_in_the_list() -> None:
    listed = {(ours, method) for ours, _, method, _, _ in OVERRIDES}

    for ours, theirs in ((web.Worker, gthread.ThreadWorker), (web.Logger, glogging.Logger)):
        assert {(ours, name) for name in vars(ours) if hasattr(theirs, name) and not name.startswith("__")} <= listed


def test_the_socket_of_a_connection_can_be_replaced() -> None:
    """`enqueue_req` gets a connection before a thread reads from it, and gunicorn reads through `conn.sock`."""
    connection = inspect.getsource(gthread.TConn)

    assert "self.sock = sock" in connection
    assert "http.get_parser(self.cfg, self.sock, self.client)" in connection
    assert "util.close_graceful(self.sock)" in connection
    assert "sock.shutdown(" in inspect.getsource(util.close_graceful)
