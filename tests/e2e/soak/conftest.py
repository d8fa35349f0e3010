"""Long runs, only with `-m soak`; BATCHGATE_SOAK=short makes them fit into CI."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done: kills for each number of workers and database; bytes of the big file, an object, an upload."""

    kills: int
    big_bytes: int
    object_bytes: int
    upload_bytes: int


FULL = Scale(kills=20, big_bytes=2048 * MIB, object_bytes=6144 * MIB, upload_bytes=200 * MIB)
SHORT = Scale(kills=1, big_bytes=128 * MIB, object_bytes=64 * MIB, upload_bytes=24 * MIB)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="seed of the random kills, as a run before has told it")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if "soak" in config.option.markexpr else True


def tell(text: str) -> None:
    """Into the log of the run: what to repeat it with, and how far it is."""
    print(text, flush=True)  # noqa: T201 - soak runs are started with `-s`


@pytest.fixture(scope="session")
def scale() -> Scale:
    return SHORT if os.environ.get("BATCHGATE_SOAK") == "short" else FULL


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run: given, or a new one."""
    given = pytestconfig.getoption("--seed")
    return secrets.randbelow(10**6) if given is None else int(given)
