"""Which cases of costly tests a run has: each on one database, and in a second run on the other.

A test that needs a store runs on both databases. Those that start workers or processes are most of the time of the
suite, so `make test` runs each of their cases on one database, half of them on each; `make test-rest` runs what it
left out, and `make soak` everything.
"""

import os
import re
import zlib

import pytest

DATABASES = ("sqlite", "postgresql")
REST = "BATCHGATE_TEST_REST"
FOLDERS = tuple(
    f"tests/{folder}/"
    for folder in (
        "e2e",
        "services/access",
        "services/accounts",
        "services/containers",
        "services/copies",
        "services/jobs",
        "services/running",
    )
)


def left_out(config: pytest.Config, items: list[pytest.Item]) -> list[pytest.Item]:
    """The items that this run leaves out; none when tests are asked for by name."""
    if REST in os.environ:
        return [item for item in items if not _is_spread(item) or _is_its_database(item)]
    if "BATCHGATE_SOAK" in os.environ or any("::" in argument for argument in config.args):
        return []
    return [item for item in items if _is_spread(item) and not _is_its_database(item)]


def _is_spread(item: pytest.Item) -> bool:
    if not (item.get_closest_marker("spread") or item.nodeid.startswith(FOLDERS)):
        return False
    chosen = any("database_url" in marker.args[0] for marker in item.iter_markers("parametrize"))
    return not chosen and item.get_closest_marker("one_database") is None and _database(item) is not None


def _parts(item: pytest.Item) -> list[str]:
    return re.split(r"([\[\]-])", item.nodeid)


def _database(item: pytest.Item) -> str | None:
    return next((part for part in _parts(item) if part in DATABASES), None)


def _is_its_database(item: pytest.Item) -> bool:
    # By the name of the case, so that every run and every process of it chooses alike.
    case = "".join(part for part in _parts(item) if part not in DATABASES)
    return _database(item) == DATABASES[zlib.crc32(case.encode()) % 2]
