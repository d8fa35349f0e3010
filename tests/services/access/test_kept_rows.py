"""Rows of keys that a process keeps: every change of the store, by whomever, ends them at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from app.errors import AuthenticationError, PermissionDeniedError
from app.services.access import keys, projects
from app.services.gateway import Gateway
from app.settings import Settings
from app.wiring import build_gateway


@pytest.fixture
def other(settings: Settings) -> Iterator[Gateway]:
    """Another process on the same store."""
    built = build_gateway(settings, applied_by=None)
    yield built
    built.database.dispose()


@contextmanager
def counted(gateway: Gateway) -> Iterator[list[str]]:
    """The statements that are read meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(gateway.database.readers, "before_cursor_execute", note)
    yield statements
    event.remove(gateway.database.readers, "before_cursor_execute", note)


def enter(gateway: Gateway, key: str, address: str | None = None) -> str:
    return keys.authenticate(gateway, key, request_id="req_1", address=address).role


def test_a_key_is_read_once_while_nothing_changes(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="one").key
    with counted(gateway) as statements:
        for _ in range(5):
            enter(gateway, key)
    assert len(statements) == (1 if gateway.database.dialect == "sqlite" else 5)


def test_a_row_that_is_kept_does_not_admit_another_secret(gateway: Gateway) -> None:
    issued = keys.create(gateway, project="alpha", name="one")
    enter(gateway, issued.key)
    wrong = issued.key[:-1] + ("A" if issued.key[-1] != "A" else "B")
    with counted(gateway) as statements:
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                enter(gateway, wrong)
    assert len(statements) == 2  # as an unknown key: how long the answer takes must not tell them apart


@pytest.mark.parametrize(
    "change",
    [
        lambda gateway, key: keys.revoke(gateway, key),
        lambda gateway, key: keys.expire(gateway, key),
        lambda gateway, key: keys.rotate(gateway, key, grace_s=0),
        lambda gateway, key: keys.update(gateway, key, networks=["10.0.0.0/8"]),
        lambda gateway, _: projects.archive(gateway, "alpha"),
    ],
    ids=["revoke", "expire", "rotate", "networks", "archive"],
)
def test_a_change_by_another_process_is_seen_by_the_next_request(
    gateway: Gateway, other: Gateway, change: Callable[[Gateway, str], object]
) -> None:
    issued = keys.create(gateway, project="alpha", name="one")
    enter(gateway, issued.key, "192.0.2.1")
    change(other, issued.public_id)
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        enter(gateway, issued.key, "192.0.2.1")
