"""Servers that mean no good: what they send, byte by byte, is up to the test."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.loopback import listen

RESET = object()
"""In place of a piece: the connection is reset."""

Pieces = Iterator[bytes | float | object]
"""What is sent: bytes, seconds to wait in between, or `RESET`."""


@dataclass
class Hostile:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        paths: paths asked for in plain HTTP, as they came.
        num_tls: connections that began with a TLS handshake.
    """

    port: int
    paths: list[str] = field(default_factory=list)
    num_tls: int = 0


@contextmanager
def serve_hostile(answer: Callable[[str], Pieces], tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """Answers each connection's first request with `answer(path)`, and closes it."""

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            if connection.recv(1, socket.MSG_PEEK) == b"\x16":
                server.num_tls += 1
            elif tls is not None:
                server.paths.append("plain HTTP where TLS is spoken")
                return
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                path = "" if server.num_tls and tls is None else _read_path(stream)
                server.paths.append(path)
                _send(stream, answer(path))

    def handle_beside(connection: socket.socket, _: str) -> None:
        threading.Thread(target=handle, args=(connection,), daemon=True).start()

    with listen(handle_beside) as port:
        server = Hostile(port)
        yield server


def _read_path(stream: socket.socket) -> str:
    request = b""
    while b"\r\n\r\n" not in request and (piece := stream.recv(65536)):
        request += piece
    return request.split(b" ")[1].decode()


def _send(stream: socket.socket, pieces: Pieces) -> None:
    for piece in pieces:
        if piece is RESET:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if isinstance(piece, bytes):
            stream.sendall(piece)
        elif isinstance(piece, float):
            time.sleep(piece)
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
