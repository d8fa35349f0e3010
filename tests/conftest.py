"""Fixtures, named after what they give. Everything is on a fresh store, on SQLite and on PostgreSQL."""

import gc
import io
import multiprocessing.util
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from app import migrate
from app.services.access import keys
from app.services.gateway import Caller, Gateway
from app.settings import Settings, from_environment
from app.wiring import build_gateway
from tests.support import described, gcs, postgres, spread, stored
from tests.support.azurite import Azurite
from tests.support.seaweed import Seaweed
from tests.support.server import LiveServer
from tests.support.spread import DATABASES
from tests.support.statements import sharing
from tests.support.web import application

# No test is about time: a busy machine is slow, and what is imported at first use is, too.
hypothesis.settings.register_profile("batchgate", deadline=None, max_examples=25, database=None)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("soak" if "BATCHGATE_SOAK" in os.environ else "batchgate")

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 2**30


def _in_memory(config: pytest.Config) -> None:
    """Temporary files of the whole run, its processes included, go to memory where there is enough of it.

    Every test makes a store, whose fsync costs more than the test on many disks.
    """
    if config.option.basetemp or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        return
    multiprocessing.util.get_temp_dir()  # its own folder, which it removes after ours
    home = Path(tempfile.mkdtemp(prefix="batchgate-tests-", dir=MEMORY))
    config.option.basetemp = str(home / "pytest")
    os.environ["TMPDIR"] = tempfile.tempdir = str(home)
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background with SIGINT ignored, and so would every process of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        spread.note_names(config)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        _in_memory(config)
    # Workers of a parallel run inherit the environment, so one server serves all of them.
    if postgres.URL not in os.environ and not hasattr(config, "workerinput") and not config.option.collectonly:
        server = postgres.Postgres()
        config.add_cleanup(server.stop)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected and imported stays until the end: looking through it for garbage, again and again, is slow."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if spread.is_without_rest(collection_path, config.rootpath) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = any("database_url" in marker.args[0] for marker in metafunc.definition.iter_markers("parametrize"))
    if "database_url" in metafunc.fixturenames and not chosen:
        marker = metafunc.definition.get_closest_marker("one_database")
        only_one = marker is not None and "BATCHGATE_SOAK" not in os.environ
        metafunc.parametrize("database_url", DATABASES[:1] if only_one else DATABASES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    gone = set(spread.left_out(items))
    if gone:
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=list(gone))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite store, to be copied."""
    home = tmp_path_factory.mktemp("template")
    migrate.upgrade(from_environment({"BATCHGATE_HOME": str(home)}))
    return home / "batchgate.db"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Emptied]:
    """A migrated database of this process's own; emptied after each test, which is faster than making a new one."""
    url = postgres.create()
    migrate.upgrade(from_environment({"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "test"}))
    database = postgres.Emptied(url)
    yield database
    database.close()
    postgres.drop(url)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """A real server that speaks S3."""
    with Seaweed() as running:
        yield running


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A stand-in for Azure Blob Storage that is not ours."""
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """The URL of a stand-in for Google Cloud Storage that is not ours."""
    with gcs.running() as url:
        yield url


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty store: the test runs once on each database, unless it says `one_database`."""
    if getattr(request, "param", DATABASES[0]) == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "batchgate.db")
        yield f"sqlite:///{tmp_path / 'batchgate.db'}"
        return
    database = request.getfixturevalue("postgresql")
    yield database.url
    database.empty()


@pytest.fixture
def local_base_url() -> str:
    """Where provider `local` is; nothing listens there unless a module puts its own fixture in place of this one."""
    return "http://127.0.0.1:9/v1"


@pytest.fixture
def blob_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where file contents are kept: in a folder, or with BATCHGATE_TEST_BLOBS=s3 in a bucket."""
    if os.environ.get(stored.VARIABLE) != "s3":
        return {}
    address = request.getfixturevalue("seaweed").address(secrets.token_hex(8))
    return stored.settings(address)


@pytest.fixture
def environment(
    database_url: str, tmp_path: Path, local_base_url: str, blob_settings: dict[str, str]
) -> dict[str, str]:
    """What an operator would set for this store; processes that a test starts get it too.

    No lease ends by itself, however busy the machine is; those of processes that are killed do (tests.support.process).
    """
    return {
        "BATCHGATE_HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "BATCHGATE_SECRET_KEY": "secret-of-the-tests",
        "BATCHGATE_LOG_LEVEL": "warning",
        "BATCHGATE_LEASE_SECONDS": "30",
        "BATCHGATE_HEARTBEAT_SECONDS": "0.2",
        "BATCHGATE_POLL_SECONDS": "0.02",
        "BATCHGATE_DRAIN_SECONDS": "1",
        "LOCAL_BASE_URL": local_base_url,
        **blob_settings,
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """`environment` as settings."""
    return from_environment(environment)


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    """A gateway on an empty store, with an account at provider `local` that nothing listens behind."""
    built = sharing(build_gateway(settings, retry_pause_s=0.001))
    yield built
    built.database.dispose()


class KeyClient(FlaskClient):
    """A test client that sends a virtual key, and holds each answer to the API's description."""

    key = ""

    def open(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        headers = Headers(kwargs.pop("headers", None))
        if self.key and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.key}"
        answer = super().open(*args, headers=headers, **kwargs)
        sent = answer.request.environ["wsgi.input"]
        if isinstance(sent, io.BufferedRandom):  # large forms go by a temporary file, which nobody else closes
            sent.close()
        described.hold(self.application, answer)
        return answer


def _client(gateway: Gateway, project: str) -> KeyClient:
    flask_app = application(gateway)
    flask_app.test_client_class = KeyClient
    client = flask_app.test_client()
    assert isinstance(client, KeyClient)
    client.key = keys.create(gateway, project=project, name="tests").key
    return client


@pytest.fixture
def client(gateway: Gateway) -> KeyClient:
    """A client of project alpha."""
    return _client(gateway, "alpha")


@pytest.fixture
def other_client(gateway: Gateway) -> KeyClient:
    """A client of project beta, on the same gateway."""
    return _client(gateway, "beta")


@pytest.fixture
def caller(gateway: Gateway) -> Caller:
    """Project alpha, as services see it."""
    issued = keys.create(gateway, project="alpha", name="caller")
    return keys.authenticate(gateway, issued.key, request_id="req_test")


@pytest.fixture
def live_server(gateway: Gateway) -> Iterator[LiveServer]:
    """The gateway on a real socket: `.url`, and `.key` of project alpha."""
    key = keys.create(gateway, project="alpha", name="live").key
    with LiveServer(application(gateway), key=key) as server:
        yield server
