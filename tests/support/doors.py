"""`python -m tests.support.doors ADDRESS TARGET...`: a port of ADDRESS for each target, printed, that leads to it.

A target is a port of loopback or a Unix socket. A connection to a host that falls silent ends, as PostgreSQL does with
`tcp_keepalives_idle`.
"""

import asyncio
import contextlib
import socket
import sys

SILENT_MS = 3000


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def _notice_silence(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        connection.setsockopt(socket.IPPROTO_TCP, option, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)


async def _door(address: str, target: str) -> int:
    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _notice_silence(writer.get_extra_info("socket"))
        with contextlib.suppress(OSError):
            if target.isdigit():
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target))
            else:
                far_reader, far_writer = await asyncio.open_unix_connection(target)
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        writer.close()

    server = await asyncio.start_server(through, address, 0)
    return int(server.sockets[0].getsockname()[1])


async def main() -> None:
    """Open the doors, and keep them open."""
    address, *targets = sys.argv[1:]
    print(*[await _door(address, target) for target in targets], flush=True)  # noqa: T201 - for who started it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
