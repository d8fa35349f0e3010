"""A provider's Avro files: read at any size, and whatever is wrong with one is reported as an upstream error."""

import io
import json
import tracemalloc
import zlib

import fastavro
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.providers.cohere import avro

SCHEMA = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "seen", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}},
        {"name": "vectors", "type": {"type": "array", "items": {"type": "array", "items": "double"}}},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "part",
                    "namespace": "a.b",
                    "fields": [{"name": "text", "type": ["null", "string"], "default": None}],
                },
            },
        },
        {"name": "more", "type": {"type": "map", "values": ["null", "a.b.part", "int"]}},
        {"name": "raw", "type": {"type": "fixed", "name": "four", "size": 4}},
    ],
}


def record(number, *, text="hello"):
    return {
        "id": f"line-{number}",
        "seen": None if number % 2 else 1700000000000,
        "kind": "AB"[number % 2],
        "vectors": [[0.5, number]],
        "parts": [{"text": text}, {"text": None}],
        "more": {"x": {"text": "y"}, "z": number},
        "raw": b"abcd",
    }


def container(rows, *, schema=SCHEMA, codec="null", **more):
    file = io.BytesIO()
    plain = orjson.loads(orjson.dumps(schema).replace(b',"logicalType":"timestamp-millis"', b""))
    fastavro.writer(file, fastavro.parse_schema(plain), rows, codec=codec, **more)
    return file.getvalue().replace(orjson.dumps(plain), orjson.dumps(schema))


def read(data, **limits):
    return list(avro.records(io.BytesIO(data), limits=avro.Limits(**limits)))


def packed(number):
    """A zigzag number."""
    number = (number << 1) ^ (number >> 63)
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def framed(schema, *blocks, codec="null"):
    """A container of blocks (count, bytes), whatever they hold."""
    meta = {
        "avro.schema": schema if isinstance(schema, bytes) else json.dumps(schema).encode(),
        "avro.codec": codec.encode(),
    }
    head = io.BytesIO()
    fastavro.schemaless_writer(head, {"type": "map", "values": "bytes"}, meta)
    body = b"".join(packed(count) + packed(len(data)) + data + b"s" * 16 for count, data in blocks)
    return b"Obj\x01" + head.getvalue() + b"s" * 16 + body


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("interval", [1, 500, 10**6])
def test_every_record_comes_in_order(codec, interval):
    rows = [record(n) for n in range(100)]

    assert read(container(rows, codec=codec, sync_interval=interval)) == rows
    assert read(container([], codec=codec)) == []


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_large_blocks_are_read_from_disk(codec):
    rows = [record(n) for n in range(100)]

    assert read(container(rows, codec=codec, sync_interval=10**6), buffered_bytes=1000) == rows
    cut = container(rows, codec=codec, sync_interval=10**6)[:-200]
    with pytest.raises(UpstreamServerError):
        read(cut, buffered_bytes=1000)


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_block_of_any_size_needs_little_memory(tmp_path, codec):
    path = tmp_path / "large.avro"
    with path.open("wb") as file:
        writer = fastavro.write.Writer(file, fastavro.parse_schema(SCHEMA), codec=codec, sync_interval=10**9)
        for number in range(10_000):
            writer.write(record(number, text=f"{number} " * 500))
        writer.flush()
    tracemalloc.start()

    with path.open("rb") as file:
        count = sum(1 for _ in avro.records(file, limits=avro.Limits(buffered_bytes=2**20)))
        most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 10_000
    assert most < 8 * 2**20


STRING = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}


def nested(depth):
    schema = "string"
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return {"type": "record", "name": "r", "fields": [{"name": "a", "type": schema}]}


def doubling(depth, innermost):
    """Types of which each holds two of the one before."""
    kind = innermost
    for number in range(depth):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"t{number - 1}" if number else kind}]
        kind = {"type": "record", "name": f"t{number}", "fields": fields}
    return kind


def fields(*kinds):
    return {"type": "record", "name": "r", "fields": [{"name": f"f{n}", "type": kind} for n, kind in enumerate(kinds)]}


BAD = {
    "nothing": b"",
    "no magic": b"{}",
    "magic alone": b"Obj\x01",
    "text": b"Obj\x01 and then words",
    "no schema": framed(b""),
    "schema of no JSON": framed(b"{"),
    "schema of a number": framed(17),
    "schema of null": framed(None),
    "schema of nothing": framed([]),
    "schema of an unknown type": framed(fields("nope")),
    "schema of an unknown shape": framed({"type": "nope"}),
    "record without fields": framed({"type": "record", "name": "r"}),
    "record of nothing": framed(fields(), (2**40, b"")),
    "record of nulls": framed(fields("null", "null"), (2**40, b"")),
    "records that double": framed(doubling(60, "null"), (1, b"")),
    "list of nulls": framed(fields({"type": "array", "items": "null"}), (1, packed(2**60))),
    "fixed of nothing": framed(fields({"type": "fixed", "name": "f", "size": 0}), (2**40, b"")),
    "fixed of less": framed(fields({"type": "fixed", "name": "f", "size": -1}), (1, b"abc")),
    "fixed of a lot": framed(fields({"type": "fixed", "name": "f", "size": 2**62}), (1, b"abc")),
    "type within itself": framed(
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "r"]}]}, (1, b"\x02" * 2**20)
    ),
    "deep": framed(nested(80), (1, b"\x02" * 80)),
    "too deep": framed(nested(400), (1, b"")),
    "deeper than JSON": framed(b'{"type":' * 100_000),
    "another codec": framed(STRING, (1, b"\x02a"), codec="snappy"),
    "codec of no text": framed(
        STRING, (1, b"\x02a"), codec="\udcff".encode("utf-8", "surrogatepass").decode("latin-1")
    ),
    "not packed": framed(STRING, (1, b"\x02a"), codec="deflate"),
    "packed and cut": framed(STRING, (1, zlib.compress(b"\x02a" * 100, wbits=-15)[:-2]), codec="deflate"),
    "string of less than nothing": framed(STRING, (1, b"\x01")),
    "string of a lot": framed(STRING, (1, packed(2**62))),
    "string of no UTF-8": framed(STRING, (1, b"\x04\xff\xfe")),
    "branch that is not there": framed(fields(["null", "string"]), (1, b"\x08")),
    "symbol that is not there": framed(fields({"type": "enum", "name": "e", "symbols": ["A"]}), (1, b"\x08")),
    "half a number": framed(fields("double"), (1, b"abc")),
    "number without an end": framed(fields("long"), (1, b"\xff" * 40)),
    "fewer records": framed(STRING, (2, b"\x02a")),
    "more bytes": framed(STRING, (1, b"\x02a\x02b")),
    "less than none": framed(STRING, (-1, b"\x02a")),
    "no sync": framed(STRING, (1, b"\x02a"))[:-1],
    "another sync": framed(STRING, (1, b"\x02a"))[:-1] + b"t",
    "count without an end": framed(STRING) + b"\xff" * 20,
    "count that is cut": framed(STRING) + b"\xff",
    "count alone": framed(STRING) + b"\x02",
    "size of less than nothing": framed(STRING) + b"\x02\x01",
    "size of a lot": framed(STRING) + b"\x02" + packed(2**62) + b"a",
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_the_upstreams_error(name):
    with pytest.raises(UpstreamServerError) as wrong:
        read(BAD[name])

    assert wrong.value.code == "bad_answer"


@pytest.mark.parametrize("name", ["string of a lot", "string of less than nothing", "fixed of a lot"])
def test_damage_in_a_large_block_too(name):
    with pytest.raises(UpstreamServerError):
        read(BAD[name], buffered_bytes=0)


def test_a_block_over_the_limit_once_decompressed_is_damage():
    bomb = zlib.compress(bytes(2**24), wbits=-15)

    with pytest.raises(UpstreamServerError):
        read(framed(STRING, (1, bomb), codec="deflate"), inflated_bytes=2**20)


WHOLE = {
    codec: container([record(n) for n in range(5)], codec=codec, sync_interval=100) for codec in ("null", "deflate")
}


@pytest.mark.parametrize("codec", WHOLE)
@given(changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_is_changed_in_a_file_gives_records_or_that_error(codec, changes):
    data = bytearray(WHOLE[codec])
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        assert len(read(bytes(data))) <= len(data)
    except UpstreamServerError as error:
        assert error.code == "bad_answer"


@pytest.mark.parametrize("codec", WHOLE)
def test_a_cut_file_gives_whole_records_or_that_error(codec):
    data = WHOLE[codec]
    whole = read(data)
    for end in range(len(data)):
        try:
            rows = read(data[:end])
        except UpstreamServerError:
            continue
        assert rows == whole[: len(rows)]
