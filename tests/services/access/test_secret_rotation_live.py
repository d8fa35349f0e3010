"""A gateway serves, a worker runs a batch, processes start, accounts are added: the ring turns under all of them."""

import threading
from collections.abc import Callable, Iterator

import pytest
import requests

import app as batchgate
from app.services.access import keys, secret_rotation
from app.services.accounts import add as account_add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import TERMINAL, chat_line, create, jsonl, read, retrieve
from tests.support.process import Process
from tests.support.waiting import until

KEY = "canary-of-the-provider"
RING = ["one", "two", "three"]
LINES = 60


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A provider that takes one key."""
    with FakeServer(models=(), api_key=KEY, latency_s=0.2) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """A kept ring on SQLite, else one whose keys every process knows; few lines at once, so that a batch lasts."""
    more = {"LOCAL_API_KEY": KEY, "LOCAL_MAX_CONCURRENCY": "4", "BATCHGATE_SECRET_KEY": ",".join(RING)}
    if environment["DATABASE_URL"].startswith("sqlite"):
        del more["BATCHGATE_SECRET_KEY"]
    return {name: value for name, value in environment.items() if name != "BATCHGATE_SECRET_KEY"} | more


class Busy:
    """Does `act(turn)` again and again in a thread until the `with` block ends, which fails as `act` did."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self.turns = 0
        self.failed: Exception | None = None
        self._act = act
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Busy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self.failed is not None:
            raise self.failed

    def goes_on(self) -> None:
        """Wait until it has begun and done another turn, or failed."""
        enough = self.turns + 2
        until(lambda: self.turns >= enough or self.failed)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._act(self.turns)
                self.turns += 1
        except Exception as error:  # noqa: BLE001 - told where the block ends
            self.failed = error


def rotate(environment: dict[str, str], turn: int) -> None:
    """Seal everything under another key, as an operator does; on SQLite that is a new one, and the old is dropped."""
    ring = RING[turn % 3 :] + RING[: turn % 3]
    is_kept = "BATCHGATE_SECRET_KEY" not in environment
    gateway = process(environment if is_kept else environment | {"BATCHGATE_SECRET_KEY": ",".join(ring)})
    try:
        assert secret_rotation.rotate(gateway, new_key=is_kept).after.unopened == 0
        if is_kept:
            assert len(secret_rotation.drop_old(gateway)) == 1
    finally:
        gateway.database.dispose()


def process(environment: dict[str, str]) -> Gateway:
    return batchgate.build_gateway(from_environment(environment))


def add(gateway: Gateway, number: int) -> None:
    new = NewAccount("openai", name=f"n{number}", base_url="http://127.0.0.1:9/v1", credential=f"canary-{number}")
    account_add.add(gateway, new)


def test_nothing_fails_and_nothing_is_lost_while_the_ring_turns(
    gateway: Gateway, client: KeyClient, environment: dict[str, str], fake: FakeServer
) -> None:
    batch = create(client, jsonl(chat_line(f"c{number}") for number in range(LINES)))
    key = client.key

    def ask(_turn: int) -> None:
        answer = requests.get(f"{web.url}/v1/files", headers={"Authorization": f"Bearer {key}"}, timeout=10)
        assert answer.status_code == 200, answer.text

    def start(_turn: int) -> None:
        fresh = process(environment)
        try:
            assert keys.authenticate(fresh, key, request_id="r").project == "alpha"
            assert fresh.accounts.of("local").connector.target.credential == KEY
        finally:
            fresh.database.dispose()

    with Process("web", environment) as web, Process("worker", environment) as worker:
        with Busy(ask) as asking, Busy(start) as starting, Busy(lambda turn: add(gateway, turn)) as adding:
            busy = (asking, starting, adding)
            for turn in range(1, 5):
                rotate(environment, turn)
                for one in busy:
                    one.goes_on()
        until(lambda: retrieve(client, batch["id"])["status"] in TERMINAL)
        assert worker.ended() == 0

    over = retrieve(client, batch["id"])
    assert over["request_counts"] | {"total": LINES, "completed": LINES} == over["request_counts"], over
    assert len(read(client, over["output_file_id"])) == LINES
    fresh = process(environment)
    assert secret_rotation.status(fresh).unopened == 0
    found = [fresh.accounts.by_id(account_id) for account_id in fresh.accounts.ids()]
    kept = {account.name: account.connector.target.credential for account in found}
    fresh.database.dispose()
    assert kept == {f"n{number}": f"canary-{number}" for number in range(adding.turns)} | {"env": KEY}
