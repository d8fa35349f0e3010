"""Answers of many lines, in the order of the lines, while chunks have them in the order in which they came."""

from collections.abc import Iterable, Mapping
from typing import Self

from app.blobs import BlobError, BlobStore
from app.data.batches.lines import LineAnswer, LineEnd
from app.data.batches.segments import Chunk
from app.services.lines.chunks import ChunkReaders

# How much of chunks is kept in memory: many lines of each are needed, with others between them.
KEPT_BYTES = 4 * 2**20


class Answers:
    """Reads the answers of lines; its `with` block closes what it has opened."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._readers = ChunkReaders(store)
        self._chunks: Mapping[int, Chunk] = {}
        self.kept: Mapping[int | None, bytes] = {}
        """The small chunks that come next, as a whole."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kept = {}
        self._readers.__exit__()

    def expect(self, chunks: Mapping[int, Chunk]) -> None:
        """Answers in these chunks (by their row ids) come next: small chunks are read as a whole, and once."""
        kept: dict[int | None, bytes] = {}
        size = 0
        for chunk_id, chunk in sorted(chunks.items(), key=lambda item: item[1].bytes):
            size += chunk.bytes
            if size > KEPT_BYTES:
                break
            data = self.kept.get(chunk_id)
            kept[chunk_id] = self._whole(chunk) if data is None else data
        self._chunks, self.kept = chunks, kept

    def pieces(self, line: LineEnd) -> Iterable[bytes]:
        """The answer of a line in pieces. Raises BlobError when its chunk is missing or too short."""
        number, custom_id, state, chunk_id, offset, size = line
        if chunk_id is None or offset is None or size is None:
            raise BlobError(f"line {number} has no answer in a chunk")
        data = self.kept.get(chunk_id)
        if data is None:
            key = self._chunks[chunk_id].key if chunk_id in self._chunks else None
            return self._readers.pieces(LineAnswer(number, custom_id, state, None, key, offset, size))
        if offset + size > len(data):
            raise BlobError(f"blob {self._chunks[chunk_id].key} ends before {offset + size}")
        return (data[offset : offset + size],)

    def _whole(self, chunk: Chunk) -> bytes:
        return b"".join(self._store.stream(chunk.key))
