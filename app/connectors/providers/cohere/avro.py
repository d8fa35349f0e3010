"""Reads a provider's Avro object container record by record, with at most one block or one value in memory.

fastavro decodes the records; the frame around them (header, blocks, codecs) is read here. fastavro's own `reader` was
measured on the files in tests/connectors/cohere/test_avro.py (fastavro 1.13.1, Cython, behind a file object that caps
the length of each read) and cannot replace this module:

- It decodes recursive types without a depth limit: a 1 MiB block of a record that contains itself ends the process
  with a segmentation fault. A cap on reads does not help, because the depth comes from many short reads.
- A block's record count is not checked against its bytes: a block of no bytes that declares 2**40 records without
  fields keeps a core busy indefinitely, and an array of 2**60 nulls takes all memory.
- Deflate has no limit: a block of 4.7 MB took 1 GiB of memory before it failed.
- It accepts a negative record count, a truncated deflate stream, and bytes after the last record as a success.
- It holds whole blocks in memory, and Cohere writes blocks of any size.

Its private table of codecs would have to be replaced to change the last three.
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
MAX_BUFFERED_BLOCK_BYTES = 16 * 2**20
MAX_VALUE_BYTES = 64 * 2**20
MAX_INFLATED_BYTES = 16 * 2**30
PIECE_BYTES = 256 * 1024
MAX_DEPTH = 64
META = {"type": "map", "values": "bytes"}
PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
# Whatever the decoder raises for bytes that are not Avro.
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


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a block: above the first it is read from disk, above the second it is damaged."""

    buffered_bytes: int = MAX_BUFFERED_BLOCK_BYTES
    inflated_bytes: int = MAX_INFLATED_BYTES


def records(file: IO[bytes], *, limits: Limits | None = None) -> Iterator[Any]:
    """Yield the records of the container that starts at the current position of `file`.

    Raises UpstreamServerError when the bytes are not a valid container.
    """
    limits = limits or Limits()
    try:
        schema, codec, sync = _header(file)
        while (count := _number(file)) is not None:
            size = _number(file)
            if count < 0 or size is None or size < 0:
                raise ValueError("a block has a negative count or size")
            with _block(file, size, codec, limits) as block:
                for _ in range(count):
                    yield fastavro.schemaless_reader(block, schema, None)
                if block.read(1):
                    raise ValueError("a block is longer than its records")
            if file.read(SYNC_BYTES) != sync:
                raise ValueError("a block is not followed by the sync marker")
    except DAMAGE as error:
        raise parsing.bad_answer("an Avro file is damaged") from error


def _header(file: IO[bytes]) -> tuple[Any, str, bytes]:
    """(schema, codec, sync marker); afterwards `file` is at the first block."""
    start = file.tell()
    head = io.BytesIO(file.read(MAX_HEADER_BYTES))
    if head.read(len(MAGIC)) != MAGIC:
        raise ValueError("the magic bytes are missing")
    meta = fastavro.schemaless_reader(head, META, None)
    sync = head.read(SYNC_BYTES)
    if not isinstance(meta, dict) or len(sync) != SYNC_BYTES:
        raise ValueError("the header is incomplete")
    file.seek(start + head.tell())
    codec = meta.get("avro.codec", b"null").decode()
    if codec not in ("null", "deflate"):
        raise parsing.bad_answer(f"an Avro file has the unsupported codec {codec[:20]!r}")
    return _schema(meta["avro.schema"]), codec, sync


def _number(file: Readable) -> int | None:
    """The zigzag number at the current position; None at the end of the file."""
    value, shift = 0, 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")
    if shift:
        raise EOFError
    return None


# Blocks.


@dataclass(slots=True)
class _Window:
    """The next `left` bytes of a file, read in pieces of at most MAX_VALUE_BYTES."""

    file: IO[bytes]
    left: int

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_VALUE_BYTES:
            raise ValueError("the length of a value is negative or over the limit")
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data


@contextmanager
def _block(file: IO[bytes], size: int, codec: str, limits: Limits) -> Iterator[Any]:
    """The next `size` bytes, decompressed. On exit `file` is behind them, if the block was read to its end."""
    window = _Window(file, size)
    if codec == "null":
        yield _buffered(file, size) if size <= limits.buffered_bytes else window
        return
    with tempfile.SpooledTemporaryFile(max_size=limits.buffered_bytes) as spool:
        length = _inflate(window, spool, max_bytes=limits.inflated_bytes)
        spool.seek(0)
        yield _buffered(spool, length) if length <= limits.buffered_bytes else _Window(spool, length)


def _buffered(file: IO[bytes], size: int) -> IO[bytes]:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return io.BytesIO(data)


def _inflate(compressed: _Window, spool: IO[bytes], *, max_bytes: int) -> int:
    """Decompress to `spool`; returns the number of bytes written."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    length = 0
    while compressed.left:
        data = compressed.read(min(PIECE_BYTES, compressed.left))
        if not data:
            raise EOFError
        while data and not inflater.eof:  # some writers leave bytes of a checksum after the end
            length += spool.write(inflater.decompress(data, PIECE_BYTES))
            data = inflater.unconsumed_tail
            if length > max_bytes:
                raise ValueError("a block is over the limit once decompressed")
    length += spool.write(inflater.flush())
    if not inflater.eof:
        raise EOFError
    return length


# Schemas.


def _schema(data: bytes) -> Any:
    """The parsed schema. Raises DAMAGE if a record could nest deeper than MAX_DEPTH or take no bytes."""
    parsed = fastavro.parse_schema(_without_logical_types(json.loads(data), 0))
    if not _Shapes({}).of(parsed).takes_bytes:
        raise ValueError("records take no bytes")
    return parsed


def _without_logical_types(value: Any, depth: int) -> Any:
    """The schema with base types only, so that timestamps stay numbers and decimals stay bytes."""
    if depth > 3 * MAX_DEPTH:
        raise ValueError("the schema is nested too deep")
    if isinstance(value, dict):
        return {
            name: _without_logical_types(inner, depth + 1)
            for name, inner in value.items()
            if name not in ("logicalType", "default")
        }
    return [_without_logical_types(inner, depth + 1) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Shape:
    """How deep values of a type nest, and whether each takes at least one byte.

    Values without bytes would let a block of a few bytes declare billions of them.
    """

    depth: int
    takes_bytes: bool


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Works out the shapes of types; `known` has the named types that were read to their end."""

    known: dict[str, _Shape]

    def of(self, schema: Any) -> _Shape:
        """The shape of a type. Raises DAMAGE if it contains itself, nests too deep or repeats a value without bytes."""
        if isinstance(schema, str):
            if schema in PRIMITIVES or schema == "null":
                return _Shape(0, schema != "null")
            return self.known[schema]  # a type is not in here until it is complete, so recursion is a KeyError
        if isinstance(schema, list) and schema:
            return self._around([self.of(item) for item in schema])
        kind = schema["type"]
        if kind in ("array", "map"):
            return self._collection(schema, kind)
        if kind in ("record", "error"):
            shape = self._record(schema)
        elif kind == "enum":
            shape = _Shape(0, True)
        elif kind == "fixed":
            shape = _Shape(0, int(schema["size"]) > 0)
        else:
            return self.of(kind)
        self.known[schema["name"]] = shape
        return shape

    def _collection(self, schema: Any, kind: str) -> _Shape:
        inner = self.of(schema["items" if kind == "array" else "values"])
        if kind == "array" and not inner.takes_bytes:
            raise ValueError("the items of an array take no bytes")
        return self._around([inner])

    def _record(self, schema: Any) -> _Shape:
        inners = [self.of(field["type"]) for field in schema["fields"]]
        if not any(inner.takes_bytes for inner in inners):
            raise ValueError("a record takes no bytes")
        return self._around(inners)

    def _around(self, inners: list[_Shape]) -> _Shape:
        depth = 1 + max((inner.depth for inner in inners), default=0)
        if depth > MAX_DEPTH:
            raise ValueError("records nest too deep")
        return _Shape(depth, True)
