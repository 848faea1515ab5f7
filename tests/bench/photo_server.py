"""Photographs over HTTP/1.1, as fast as Python serves them: `python -m tests.bench.photo_server FOLDER [CERT KEY]`.

Prints its port, and serves on all addresses of loopback until its standard input closes.
"""

import asyncio
import ssl
import sys
from pathlib import Path

_NONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One connection, kept alive; requests without a body."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self._files, self._waiting = files, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        for request in requests:
            head, _, headers = request.partition(b"\r\n")
            self._transport.write(self._files.get(head.split(b" ")[1], _NONE))
            if b"connection: close" in headers.lower():
                self._transport.close()


def _answers(folder: Path) -> dict[bytes, bytes]:
    """What is said to each path."""
    found = {}
    for path in folder.glob("*.jpg"):
        body = path.read_bytes()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        found[f"/{path.name}".encode()] = head.encode() + body
    return found


async def _serve(folder: Path, certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    files = _answers(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(files), "0.0.0.0", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2:]))
