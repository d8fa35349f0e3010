"""A client's connection: how slow it may be, and which head is complete."""

import socket
from contextlib import closing

import pytest

from app.web.client import PRESSED_SILENCE_S, Client, Pace
from app.web.head import MAX_HEAD_BYTES, Head


def test_a_pace_is_kept_by_bytes_and_lost_by_waiting() -> None:
    pace = Pace(silence_s=10, bytes_per_s=100)
    assert all(pace.keeps_up(1.0, 100) for _ in range(1000))
    assert all(pace.keeps_up(1.0, 1) for _ in range(10))
    assert not pace.keeps_up(1.0, 1)


def test_a_burst_buys_no_long_silence() -> None:
    pace = Pace(silence_s=10, bytes_per_s=100)
    assert pace.keeps_up(0.1, 10**9)
    assert not pace.keeps_up(10.1, 1)
    pace.begin()
    assert pace.keeps_up(9.9, 1)


def test_without_a_limit_on_silence_any_pace_is_kept() -> None:
    pace = Pace(silence_s=0, bytes_per_s=100)
    assert all(pace.keeps_up(3600, 0) for _ in range(10))


def test_without_a_limit_on_the_pace_only_silence_ends_it() -> None:
    pace = Pace(silence_s=10, bytes_per_s=0)
    assert all(pace.keeps_up(9, 1) for _ in range(10))
    assert not pace.keeps_up(10.1, 0)


def connected(ours: socket.socket, *, silence_s: float, is_pressed: bool = False) -> Client:
    return Client(ours, silence_s=silence_s, bytes_per_s=1, is_pressed=lambda: is_pressed)


@pytest.mark.parametrize("is_pressed", [False, True])
def test_while_others_wait_a_client_must_be_faster(is_pressed: bool) -> None:
    ours, theirs = socket.socketpair()
    with closing(connected(ours, silence_s=600, is_pressed=is_pressed)) as client, theirs:
        client._pressed_pace.keeps_up(PRESSED_SILENCE_S - 0.01, 0)  # it had waited nearly so long already
        theirs.sendall(b"x")
        assert client.recv(1) == b"x"
        if is_pressed:
            assert (client.recv(1), client.timed_out) == (b"", True)
        else:
            theirs.close()
            assert (client.recv(1), client.timed_out) == (b"", False)


def test_a_client_that_reads_too_slowly_is_reset() -> None:
    ours, theirs = socket.socketpair()
    stopped = pytest.raises(ConnectionResetError, match="does not read")
    with closing(connected(ours, silence_s=0.2)) as client, theirs, stopped:
        client.sendall(bytes(50 * 2**20))


def test_a_client_that_trickled_is_not_read_again() -> None:
    ours, theirs = socket.socketpair()
    with closing(connected(ours, silence_s=0.05)) as client, theirs:
        assert (client.recv(10), client.timed_out) == (b"", True)
        theirs.sendall(b"late")
        assert client.recv(10) == b""


WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_a_head_is_complete_with_its_last_byte_however_it_is_cut(step: int) -> None:
    head = Head()
    for begin in range(0, len(WHOLE), step):
        assert not head.is_complete
        head.add(WHOLE[begin : begin + step])
    assert head.is_complete
    assert bytes(head.data) == WHOLE


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: x\n", b"\n", b"\r\n\r\n"])
def test_a_head_that_the_parser_rejects_is_not_waited_for(text: bytes) -> None:
    head = Head()
    for number in range(len(text)):
        head.add(text[number : number + 1])
    assert head.is_complete


def test_a_head_has_a_limit_and_a_body_behind_it_has_none() -> None:
    assert not Head(b"x" * MAX_HEAD_BYTES).is_too_long
    assert Head(b"x" * (MAX_HEAD_BYTES + 1)).is_too_long
    assert not Head(WHOLE + b"x" * MAX_HEAD_BYTES).is_too_long
