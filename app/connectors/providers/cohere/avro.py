"""Avro object containers of a provider, read record by record: never more in memory than a block or a record.

fastavro decodes the records. The frame around them is read here, since its reader holds whole blocks however large,
and it recurses without a limit: a schema that contains itself would end the process.
"""

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol

import fastavro
from fastavro.schema import SchemaParseException

from app.connectors.shared import parsing
from app.lib import json

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
MAX_HEADER_BYTES = 2**20
# Larger blocks are read from disk, value by value.
MAX_BLOCK_BYTES = 16 * 2**20
MAX_VALUE_BYTES = 64 * 2**20
MAX_INFLATED_BYTES = 16 * 2**30
PIECE_BYTES = 256 * 1024
MAX_DEPTH = 64
META = {"type": "map", "values": "bytes"}
PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
DAMAGE = (
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    SchemaParseException,
    struct.error,
    zlib.error,
)


class Readable(Protocol):
    """What fastavro reads from."""

    def read(self, size: int) -> bytes: ...


def records(file: IO[bytes]) -> Iterator[Any]:
    """The records of a container that starts where `file` stands. Raises UpstreamServerError for what is none."""
    try:
        schema, codec, sync = _header(file)
        while (count := _number(file)) is not None:
            size = _number(file)
            if count < 0 or size is None or size < 0:
                raise ValueError("a block of less than nothing")
            with _block(file, size, codec) as block:
                for _ in range(count):
                    yield fastavro.schemaless_reader(block, schema, None)
                if block.read(1):
                    raise ValueError("a block is longer than its records")
            if file.read(SYNC_BYTES) != sync:
                raise ValueError("a block does not end where it should")
    except DAMAGE as error:
        raise parsing.bad_answer("an Avro file is damaged") from error


def _header(file: IO[bytes]) -> tuple[Any, str, bytes]:
    start = file.tell()
    head = io.BytesIO(file.read(MAX_HEADER_BYTES))
    if head.read(len(MAGIC)) != MAGIC:
        raise ValueError("no Avro")
    meta = fastavro.schemaless_reader(head, META, None)
    sync = head.read(SYNC_BYTES)
    if not isinstance(meta, dict) or len(sync) != SYNC_BYTES:
        raise ValueError("no header")
    file.seek(start + head.tell())
    codec = meta.get("avro.codec", b"null").decode()
    if codec not in ("null", "deflate"):
        raise parsing.bad_answer(f"an Avro file is packed with {codec[:20]!r}, which is not known")
    return _schema(meta["avro.schema"]), codec, sync


def _number(file: Readable) -> int | None:
    """A zigzag number; None at the end of the file."""
    found, shift = 0, 0
    while byte := file.read(1):
        found |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return (found >> 1) ^ -(found & 1)
        shift += 7
        if shift > 63:
            raise ValueError("a number that has no end")
    if shift:
        raise EOFError
    return None


# Blocks.


@dataclass(slots=True)
class _Window:
    """The next `left` bytes of a file. No value is so large as to fill the memory."""

    file: IO[bytes]
    left: int

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_VALUE_BYTES:
            raise ValueError("a value of no length that could be")
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data


@contextmanager
def _block(file: IO[bytes], size: int, codec: str) -> Iterator[Any]:
    """The `size` bytes of a block, unpacked; the file stands behind them in the end."""
    window = _Window(file, size)
    if codec == "null":
        yield _held(file, size) if size <= MAX_BLOCK_BYTES else window
        return
    with tempfile.SpooledTemporaryFile(max_size=MAX_BLOCK_BYTES) as spool:
        length = _inflate(window, spool)
        spool.seek(0)
        yield _held(spool, length) if length <= MAX_BLOCK_BYTES else _Window(spool, length)


def _held(file: IO[bytes], size: int) -> IO[bytes]:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return io.BytesIO(data)


def _inflate(packed: _Window, spool: IO[bytes]) -> int:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    length = 0
    while packed.left:
        data = packed.read(min(PIECE_BYTES, packed.left))
        if not data:
            raise EOFError
        while data and not unpacker.eof:  # what stands behind the end are left-overs of a checksum
            length += spool.write(unpacker.decompress(data, PIECE_BYTES))
            data = unpacker.unconsumed_tail
            if length > MAX_INFLATED_BYTES:
                raise ValueError("a block that grows without end")
    length += spool.write(unpacker.flush())
    if not unpacker.eof:
        raise EOFError
    return length


# Schemas.


def _schema(data: bytes) -> Any:
    """The schema, of which no record is deeper than MAX_DEPTH or takes no bytes. Raises DAMAGE for another one."""
    parsed = fastavro.parse_schema(_plain(json.loads(data), 0))
    if not _Shapes({}).of(parsed).takes_bytes:
        raise ValueError("records of nothing")
    return parsed


def _plain(value: Any, depth: int) -> Any:
    """The schema without what gives its values another type: instants are their numbers, decimals their bytes."""
    if depth > 3 * MAX_DEPTH:
        raise ValueError("a schema that is too deep")
    if isinstance(value, dict):
        return {
            name: _plain(inner, depth + 1) for name, inner in value.items() if name not in ("logicalType", "default")
        }
    return [_plain(inner, depth + 1) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Shape:
    """How deep values of a type are, and whether each takes a byte at least: else a few could stand for billions."""

    depth: int
    takes_bytes: bool


@dataclass(frozen=True, slots=True)
class _Shapes:
    """The shapes of types; `known` are those of named ones that are read to their end."""

    known: dict[str, _Shape]

    def of(self, schema: Any) -> _Shape:
        """The shape of a type. Raises ValueError for one that contains itself, or too much."""
        if isinstance(schema, str):
            if schema in PRIMITIVES or schema == "null":
                return _Shape(0, schema != "null")
            return self.known[schema]  # a type within itself is not there yet
        if isinstance(schema, list) and schema:
            return self._around([self.of(item) for item in schema], takes_bytes=True)
        kind = schema["type"]
        if kind in ("array", "map"):
            inner = self.of(schema["items" if kind == "array" else "values"])
            if kind == "array" and not inner.takes_bytes:
                raise ValueError("a list of nothing")
            return self._around([inner], takes_bytes=True)
        if kind in ("record", "error"):
            inners = [self.of(field["type"]) for field in schema["fields"]]
            made = self._around(inners, takes_bytes=any(inner.takes_bytes for inner in inners))
            if not made.takes_bytes:
                raise ValueError("a record of nothing")
        elif kind == "enum":
            made = _Shape(0, True)
        elif kind == "fixed":
            made = _Shape(0, int(schema["size"]) > 0)
        else:
            return self.of(kind)
        self.known[schema["name"]] = made
        return made

    def _around(self, inners: list[_Shape], *, takes_bytes: bool) -> _Shape:
        depth = 1 + max((inner.depth for inner in inners), default=0)
        if depth > MAX_DEPTH:
            raise ValueError("records that are too deep")
        return _Shape(depth, takes_bytes)
