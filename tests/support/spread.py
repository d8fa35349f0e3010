"""Which tests a run has: `make test` most of them, `make test-rest` what it left out, `make soak` everything.

A test that needs a store runs on both databases. Those that start workers or processes are most of the time of the
suite, so `make test` runs each of their cases on one database, half of them on each, and `make test-rest` on the other.
What a client or a provider says does not depend on the database: each case of such tests runs once, half of them on
each database, and on the other one only in `make soak`. Whole matrices of them (SDKs, providers by operations and
faults, neighbours), a real browser, the demo, the kits of deploy/, the pooler and the rolling upgrade are left to
`make test-rest`.
"""

import os
import re
import zlib
from enum import Enum
from pathlib import Path

import pytest

DATABASES = ("sqlite", "postgresql")
REST = "BATCHGATE_TEST_REST"
NAMED = "BATCHGATE_TESTS_NAMED"
MARK = "mark.spread"
# Start workers, processes or many connections; as tests do elsewhere that are marked `spread`.
COSTLY = (
    "tests/e2e/",
    "tests/services/access/",
    "tests/services/accounts/",
    "tests/services/containers/",
    "tests/services/copies/",
    "tests/services/jobs/",
    "tests/services/running/",
)
# Of these, what is about the wire.
WIRE = (
    "tests/e2e/conformance/test_golden.py",
    "tests/e2e/conformance/test_inputs_by_file.py",
    "tests/e2e/dialects/",
    "tests/services/containers/test_azure.py",
    "tests/services/jobs/test_azure.py",
    "tests/services/jobs/test_dialects.py",
    "tests/services/running/test_dialects.py",
)
MATRICES = (
    "tests/cli/test_demo.py",
    "tests/deploy/",
    "tests/e2e/browser/",
    "tests/e2e/clients/",
    "tests/e2e/conformance/test_fault_matrix.py",
    "tests/e2e/conformance/test_faults.py",
    "tests/e2e/conformance/test_operations.py",
    "tests/e2e/described/",
    "tests/e2e/neighbours/",
    "tests/e2e/test_metrics.py",
    "tests/e2e/test_pgbouncer.py",
    "tests/e2e/test_rolling_upgrade.py",
)


class _Stage(Enum):
    TEST = "make test"
    REST = "make test-rest"
    SOAK = "make soak"


def note_names(config: pytest.Config) -> None:
    """Tell this run's processes, which inherit the environment, whether tests were asked for by name."""
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        os.environ[NAMED] = "1"
    else:
        os.environ.pop(NAMED, None)


def is_without_rest(path: Path, root: Path) -> bool:
    """True when this run is for the rest and there is none in the file: importing it would be in vain."""
    if REST not in os.environ or path.suffix != ".py" or not path.is_relative_to(root):
        return False
    is_listed = path.relative_to(root).as_posix().startswith(COSTLY + MATRICES)
    return not is_listed and MARK not in path.read_text()


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """The items that this run leaves out; none when tests are asked for by name."""
    if REST in os.environ:
        return [item for item in items if _stage(item) is not _Stage.REST]
    if "BATCHGATE_SOAK" in os.environ or NAMED in os.environ:
        return []
    return [item for item in items if _stage(item) is not _Stage.TEST]


def _stage(item: pytest.Item) -> _Stage:
    is_first = not _is_spread(item) or _is_its_database(item)
    if item.nodeid.startswith(MATRICES):
        return _Stage.REST if is_first else _Stage.SOAK
    if is_first:
        return _Stage.TEST
    return _Stage.SOAK if item.nodeid.startswith(WIRE) else _Stage.REST


def _is_spread(item: pytest.Item) -> bool:
    if not (item.get_closest_marker("spread") or item.nodeid.startswith(COSTLY)):
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
