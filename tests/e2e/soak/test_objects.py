"""Object stores for longer: large objects, many uploads at once, and a move to one that is killed again and again."""

import hashlib
import json
import random
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from sqlalchemy import select, update

from app.blobs import Address, BlobStore
from app.data.tables import blobs
from app.services import blobs as service
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.upkeep import moving
from app.settings import from_environment
from app.wiring import build_gateway
from bench.processes import Web, family, peak_bytes
from tests.blobs import servers
from tests.e2e.crash.audit import assert_clean
from tests.e2e.soak.conftest import MIB, Scale, tell
from tests.support import stored
from tests.support.process import Process
from tests.support.seaweed import Seaweed

pytestmark = [pytest.mark.soak, pytest.mark.one_database]
BLOCK = random.Random(11).randbytes(MIB)
MOST_GROWTH_BYTES = 64 * MIB
UPLOADS = 8


def blocks(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%016x" % number + BLOCK[16:]


@pytest.mark.parametrize("kind", servers.OBJECTS)
def test_a_large_object_is_read_as_it_was_written(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, scale: Scale
) -> None:
    # Our fake of GCS keeps all in memory.
    count = scale.object_bytes // MIB if kind != "gcs" else min(scale.object_bytes // MIB, 256)
    with servers.opened(kind, request, tmp_path) as found:
        _write(found.store, "ab" * 20, count)
        digest = hashlib.sha256()
        for data in found.store.stream("ab" * 20, length=count * MIB):
            digest.update(data)
        expected = hashlib.sha256()
        for block in blocks(count):
            expected.update(block)
        assert digest.digest() == expected.digest()
        last = found.store.open_read("ab" * 20).read((count - 1) * MIB, MIB)
        assert last == b"%016x" % (count - 1) + BLOCK[16:]
        found.store.delete("ab" * 20)
        assert list(found.names()) == []


def _write(store: BlobStore, key: str, count: int) -> None:
    writer = store.open_write(key)
    for block in blocks(count):
        writer.write(block)
    writer.commit()


def test_uploads_at_once_take_little_memory(
    gateway: Gateway, environment: dict[str, str], seaweed: Seaweed, tmp_path: Path, scale: Scale
) -> None:
    environment = {**environment, **stored.settings(seaweed.address()), "WEB_CONCURRENCY": "1"}
    headers = {"Authorization": f"Bearer {keys.create(gateway, project='alpha', name='soak').key}"}
    with Web("wsgi:app", environment=environment, log=tmp_path / "web.log") as web:

        def upload(count: int) -> None:
            # As a stream, so that this process has no more of it than the other.
            body = _Form(count)
            answer = requests.post(
                f"{web.url}/v1/files", data=body, headers={**headers, "Content-Type": body.kind}, timeout=600
            )
            assert answer.status_code == 200, answer.text

        for _ in range(4):
            upload(6)
        processes = family(web.pid)
        before = peak_bytes(processes)
        with ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(upload, [scale.upload_bytes // MIB] * UPLOADS))
        growth = peak_bytes(processes) - before
    tell(f"\n{UPLOADS} uploads of {scale.upload_bytes // MIB} MiB: peak memory +{growth / MIB:.1f} MiB")
    assert growth < MOST_GROWTH_BYTES


class _Form:
    """A form with one file of random bytes, for `requests`."""

    kind = "multipart/form-data; boundary=b"

    def __init__(self, count: int) -> None:
        self._head = (
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
        )
        self._count = count

    def __len__(self) -> int:
        return len(self._head) + self._count * MIB + len(b"\r\n--b--\r\n")

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        yield from blocks(self._count)
        yield b"\r\n--b--\r\n"


def test_a_move_to_s3_that_is_killed_loses_nothing(
    gateway: Gateway, environment: dict[str, str], seaweed: Seaweed, tmp_path: Path, scale: Scale, seed: int
) -> None:
    tell(f"\n--seed {seed}")
    chance = random.Random(seed)
    target = seaweed.address(secrets.token_hex(8))
    both = {**environment, "BATCHGATE_BLOB_STORES": json.dumps([_entry(target)])}
    key = keys.create(gateway, project="alpha", name="soak").key
    with Web("wsgi:app", environment=both, log=tmp_path / "web.log") as web:
        kept = _Traffic(web.url, key, chance)
        for _ in range(40):
            kept.upload()
        for _ in range(scale.kills):
            with Process("mover", {**both, "MOVE_TO": target.url}) as mover:
                until = time.monotonic() + chance.uniform(0.05, 1.5)
                while time.monotonic() < until:
                    kept.act()
                mover.kill()
        whole = build_gateway(from_environment(both), applied_by=None)
        try:
            assert {outcome.state for outcome in moving.move(whole, to=target.url)} <= {"moved"}
            with whole.database.write() as connection:
                connection.execute(update(blobs).where(blobs.c.state == "pending").values(lease_until=0))
            service.sweep(whole)
            with whole.database.read() as connection:
                assert set(connection.execute(select(blobs.c.store)).scalars()) == {target.url}
        finally:
            whole.database.dispose()
        kept.check()
    assert stored.sizes(gateway) == {}
    moved = build_gateway(from_environment({**environment, **stored.settings(target)}), applied_by=None)
    try:
        assert_clean(moved)
    finally:
        moved.database.dispose()


def _entry(address: Address) -> dict[str, str]:
    names = ("url", "endpoint", "region", "key_id", "secret")
    return {name: getattr(address, name) for name in names}


class _Traffic:
    """Files that are uploaded, read and deleted."""

    def __init__(self, url: str, key: str, chance: random.Random) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._chance = chance
        self._contents: dict[str, bytes] = {}

    def act(self) -> None:
        """Do one of these."""
        [self.upload, self._read, self._read, self._delete][self._chance.randrange(4)]()

    def upload(self) -> None:
        data = self._chance.randbytes(self._chance.choice([100, 20_000, 300_000, 6 * MIB]))
        form = {"file": ("f.bin", data)}
        answer = requests.post(
            f"{self._url}/v1/files", data={"purpose": "user_data"}, files=form, headers=self._headers, timeout=60
        )
        assert answer.status_code == 200, answer.text
        self._contents[answer.json()["id"]] = data

    def check(self) -> None:
        """All files are whole."""
        for file_id, data in self._contents.items():
            assert self._content(file_id) == data

    def _read(self) -> None:
        file_id = self._chance.choice(sorted(self._contents))
        assert self._content(file_id) == self._contents[file_id]

    def _delete(self) -> None:
        if len(self._contents) > 20:
            file_id = self._chance.choice(sorted(self._contents))
            answer = requests.delete(f"{self._url}/v1/files/{file_id}", headers=self._headers, timeout=60)
            assert answer.status_code == 200, answer.text
            del self._contents[file_id]

    def _content(self, file_id: str) -> bytes:
        answer = requests.get(f"{self._url}/v1/files/{file_id}/content", headers=self._headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content
