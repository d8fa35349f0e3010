"""Lines that follow each other are read with few calls, and each is what it is in the blob."""

import pytest

from app.services.lines.read_ahead import AHEAD_BYTES, ReadAhead


class Reader:
    """A blob in memory that counts its reads."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0
        self.is_closed = False

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return self.data[offset : offset + length]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def blob() -> Reader:
    return Reader(b"".join(b"%09d\n" % number for number in range(3 * AHEAD_BYTES // 10)))


@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
def test_every_line_is_what_it_is_in_the_blob(blob: Reader, step: int) -> None:
    ahead = ReadAhead(blob)
    for offset in range(0, len(blob.data), 10)[::step]:
        assert ahead.read(offset, 10) == blob.data[offset : offset + 10]


def test_lines_in_order_take_one_read_for_many(blob: Reader) -> None:
    ahead = ReadAhead(blob)
    for offset in range(0, len(blob.data), 10):
        ahead.read(offset, 10)
    assert blob.reads <= 4


def test_a_large_line_is_read_alone(blob: Reader) -> None:
    ahead = ReadAhead(blob)
    ahead.read(0, 10)
    assert ahead.read(10, 2 * AHEAD_BYTES) == blob.data[10 : 10 + 2 * AHEAD_BYTES]
    ahead.read(20, 10)
    assert blob.reads == 2


def test_the_end_of_the_blob_is_as_short_as_it_is(blob: Reader) -> None:
    ahead = ReadAhead(blob)
    assert ahead.read(len(blob.data) - 5, 10) == blob.data[-5:]
    ahead.close()
    assert blob.is_closed
