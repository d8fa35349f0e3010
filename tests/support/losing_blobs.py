"""A blob store so slow that the work whose bytes are written to it is another worker's when they are on disk."""

from sqlalchemy import Table, update

from app.blobs.local import LocalBlobs, LocalWriter
from app.services.gateway import Gateway
from tests.support import stored


class LosingBlobs(LocalBlobs):
    """The gateway's store; with each blob that is committed, all leases of `table` go to somebody else."""

    def __init__(self, gateway: Gateway, table: Table) -> None:
        super().__init__(stored.local(gateway).root)
        self._gateway = gateway
        self._table = table

    def open_write(self, key: str) -> LocalWriter:
        return _LosingWriter(self, key)

    def lose(self) -> None:
        with self._gateway.database.write() as connection:
            connection.execute(update(self._table).values(worker="other", epoch=self._table.c.epoch + 1))


class _LosingWriter(LocalWriter):
    def __init__(self, store: LosingBlobs, key: str) -> None:
        super().__init__(store.path(key) or store.root / key)
        self._store = store

    def commit(self) -> None:
        super().commit()
        self._store.lose()
