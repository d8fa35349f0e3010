"""Blobs in an object store (S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage), by `obstore`."""

import ctypes
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from app.blobs import signing
from app.blobs.address import BACKENDS, Address
from app.blobs.base import BlobError, BlobMissingError
from app.blobs.blocks import Blocks

try:
    import obstore
    from obstore import store as kinds

    from app.blobs import failures
    from app.blobs.reading import ObjectReader, ObjectStream
    from app.blobs.uploading import ObjectWriter, Parts
except ModuleNotFoundError as error:
    raise ValueError("Object stores need the package obstore: install batchgate[objects].") from error

CONNECT_TIMEOUT = "5s"
# Of one request without an answer, and of one body without a byte: downloads as such may take any time.
READ_TIMEOUT = "30s"
DOWNLOAD_TIMEOUT = "1day"
RETRIES = 3
# So often a check writes; in between it only asks for an object, which costs a tenth.
WRITE_CHECK_S = 30.0

M_MMAP_THRESHOLD = -3
MMAP_BYTES = 2**20

_pids: set[int] = set()


class ObjectBlobs:
    """A bucket. Blob `a1b2...` is the object `<prefix>/a1/a1b2...`, as in a folder."""

    commits_late = True  # the answer may be lost on the way

    def __init__(self, address: Address) -> None:
        self.backend = BACKENDS[address.scheme]
        self.url = address.url
        self.secrets = tuple(text for text in (address.secret,) if text)
        self.blocks = Blocks()
        self.parts = Parts()
        self._address = address
        self._lock = threading.Lock()
        self._client: Any = None
        self._wrote_at: float | None = None

    def open_write(self, key: str) -> ObjectWriter:
        return ObjectWriter(self, _name(key))

    def open_read(self, key: str) -> ObjectReader:
        return ObjectReader(self, _name(key))

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return ObjectStream(self, _name(key), offset, length)

    def delete(self, key: str) -> None:
        # What is missing is not an error, as S3 has it; the others report it.
        with suppress(BlobMissingError), self.errors(key, reading=True):
            obstore.delete(self.client, _name(key))

    def path(self, key: str) -> Path | None:
        return None

    def signed_url(self, key: str, *, seconds: int, headers: Mapping[str, str]) -> str | None:
        if self.backend != "s3":
            return None
        return signing.s3_url(self._address, self.client.config, _name(key), seconds=seconds, headers=headers)

    def free_bytes(self) -> int | None:
        return None

    def at(self, url: str) -> "ObjectBlobs":
        return self

    def check(self) -> None:
        last = self._wrote_at
        if last is None or time.monotonic() - last >= WRITE_CHECK_S:
            self._wrote_at = None
            self._check_writing()
            self._wrote_at = time.monotonic()
        else:
            with suppress(BlobMissingError), self.errors("check", reading=True):
                obstore.head(self.client, _name("00check"))

    @property
    def client(self) -> Any:
        """The library's store, made at its first use. Raises BlobError in a process that was forked after one."""
        _check_fork()
        with self._lock:
            if self._client is None:
                _map_large_blocks()
                with self.errors(self.url):
                    self._client = _client(self._address)
            return self._client

    def errors(self, name: str, *, reading: bool = False) -> AbstractContextManager[None]:
        """Raises the BlobError for what the library raises within the block."""
        return failures.translated(self.secrets, name=name, reading=reading)

    def _check_writing(self) -> None:
        key = f"00check{secrets.token_hex(8)}"
        writer = self.open_write(key)
        try:
            writer.write(b"ok")
            writer.commit()
            if b"".join(self.stream(key)) != b"ok":
                raise BlobError(f"{self.url} returned other bytes than were written.")
        finally:
            writer.abort()
            self.delete(key)


def _client(address: Address) -> Any:
    options: dict[str, Any] = {
        "prefix": address.path or None,
        "client_options": {
            "allow_http": address.endpoint.startswith("http://"),
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "timeout": DOWNLOAD_TIMEOUT,
            "user_agent": "batchgate",
        },
        "retry_config": {"max_retries": RETRIES},
    }
    return {"s3": _s3, "gs": _gcs, "az": _azure}[address.scheme](address, options)


def _s3(address: Address, options: dict[str, Any]) -> Any:
    config: dict[str, Any] = {"virtual_hosted_style_request": not address.path_style}
    if address.endpoint:
        scheme, _, host = address.endpoint.partition("://")
        config["endpoint"] = address.endpoint if address.path_style else f"{scheme}://{address.bucket}.{host}"
    if address.region:
        config["region"] = address.region
    if address.key_id:
        config |= {"access_key_id": address.key_id, "secret_access_key": address.secret}
    return kinds.S3Store(address.bucket, config=config, **options)  # type: ignore[arg-type]


def _gcs(address: Address, options: dict[str, Any]) -> Any:
    config: dict[str, Any] = {"base_url": address.endpoint} if address.endpoint else {}
    if address.secret:
        is_json = address.secret.lstrip().startswith("{")
        config["service_account_key" if is_json else "service_account"] = address.secret
    return kinds.GCSStore(address.bucket, config=config, **options)  # type: ignore[arg-type]


def _azure(address: Address, options: dict[str, Any]) -> Any:
    config: dict[str, Any] = {"endpoint": address.endpoint} if address.endpoint else {}
    if address.key_id:
        config["account_name"] = address.key_id
    if address.secret:
        config["sas_key" if "sig=" in address.secret else "account_key"] = address.secret
    return kinds.AzureStore(address.bucket, config=config, **options)  # type: ignore[arg-type]


def _name(key: str) -> str:
    return f"{key[:2]}/{key}"


def _map_large_blocks() -> None:
    """Let glibc return the memory of parts when they are freed. By default each thread's heap comes to keep it.

    Smaller blocks stay in the heap: to map them takes thrice the CPU of a download.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)


def _check_fork() -> None:
    """The library's threads do not survive a fork: a forked process would wait for them for ever."""
    pid = os.getpid()
    if pid not in _pids:
        if _pids:
            raise BlobError("This process was forked from one that had used the object store; start it anew.")
        _pids.add(pid)
