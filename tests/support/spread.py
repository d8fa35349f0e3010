"""Which tests a run has: `make test` most of them, `make test-rest` what it left out, `make soak` everything.

A test that needs a store runs on both databases. Those that start workers or processes are most of the time of the
suite, so `make test` runs each of their cases on one database, half of them on each. The whole matrices (SDKs,
providers by operations and faults, neighbours) and the demo it leaves to the other run.
"""

import os
import re
import zlib

import pytest

DATABASES = ("sqlite", "postgresql")
REST = "BATCHGATE_TEST_REST"
NAMED = "BATCHGATE_TESTS_NAMED"
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
MATRICES = (
    "tests/cli/test_demo.py",
    "tests/e2e/clients/",
    "tests/e2e/conformance/test_faults.py",
    "tests/e2e/conformance/test_operations.py",
    "tests/e2e/neighbours/",
)


def note_names(config: pytest.Config) -> None:
    """Tell this run's processes, which inherit the environment, whether tests were asked for by name."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        os.environ[NAMED] = "1"
    else:
        os.environ.pop(NAMED, None)


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """The items that this run leaves out; none when tests are asked for by name."""
    if REST in os.environ:
        return [item for item in items if not _is_for_later(item)]
    if "BATCHGATE_SOAK" in os.environ or NAMED in os.environ:
        return []
    return [item for item in items if _is_for_later(item)]


def _is_for_later(item: pytest.Item) -> bool:
    return item.nodeid.startswith(MATRICES) or (_is_spread(item) and not _is_its_database(item))


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
