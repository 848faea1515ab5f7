"""Web sites on loopback, for tests: a dictionary or a folder says what is served; every request is noted."""

import mimetypes
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class Answer(NamedTuple):
    """What a server says to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


NOT_FOUND = Answer(404, {"Content-Type": "text/plain"}, b"not here")


SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json", "/ai.txt")
"""What every origin is asked for first, in this order."""


class Exchange(NamedTuple):
    """A request, and how long it took: from when it was read to when its answer was ready, by one clock, in seconds.

    Whoever asks has begun before that and ends after it.
    """

    host: str
    path: str
    client: tuple[str, int]
    begin: float
    end: float


@dataclass
class Site:
    """A running server.

    Attributes:
        port: on its address.
        requests: host and path of every request, as they came.
        log: what was answered, with the address and port that asked and the time it took.
        unchanged: paths of those that were answered "304 Not Modified".
    """

    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    log: list[Exchange] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    address: str = "127.0.0.1"

    def connect_to(self, *hosts: str) -> str:
        """The override that makes a recipe find `hosts` here."""
        return "crawl.connect_to={" + ", ".join(f"{host}: '{self.address}:{self.port}'" for host in hosts) + "}"


@contextmanager
def serve(answer: Callable[[str, str], Answer], port: int = 0, address: str = "127.0.0.1") -> Iterator[Site]:
    """Serves `answer(host, path)` on a port of an address, a free one if none is given, until the block ends.

    Who asks on the condition that an ETag or a time of change is another one than the answer's gets "304 Not Modified".
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True  # else each answer waits for the acknowledgement of its head

        def do_GET(self) -> None:
            host = self.headers.get("Host", "").partition(":")[0]
            site.requests.append((host, self.path))
            begin = time.monotonic()
            status, headers, body = answer(host, self.path)
            site.log.append(Exchange(host, self.path, self.client_address, begin, time.monotonic()))
            if self._is_known(headers):
                status, body = 304, b""
                site.unchanged.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _is_known(self, headers: Mapping[str, str]) -> bool:
            asked = {"If-None-Match": headers.get("ETag"), "If-Modified-Since": headers.get("Last-Modified")}
            given = [name for name in asked if name in self.headers]  # an ETag alone decides where there are both
            return bool(given) and self.headers[given[0]] == asked[given[0]]

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that was killed leaves its connection open

    with Server((address, port), Handler) as server:
        site = Site(server.server_address[1], address=address)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def listen(handle: Callable[[socket.socket, str], None]) -> Iterator[int]:
    """Listens on a port of 127.0.0.1, and calls `handle` with each connection and the address it comes from."""

    def accept_all() -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            handle(connection, address[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept_all, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def pages(content: Mapping[str, bytes | str | Answer]) -> Callable[[str, str], Answer]:
    """Answers from a dictionary of paths: text is HTML, bytes go by the path's ending, an `Answer` is said as it is."""

    def answer(host: str, path: str) -> Answer:
        del host
        found = content.get(urlsplit(path).path)
        if found is None:
            return NOT_FOUND
        if isinstance(found, str):
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, found.encode())
        if isinstance(found, bytes):
            return Answer(200, {"Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream"}, found)
        return found

    return answer


def folder(root: Path) -> Callable[[str, str], Answer]:
    """Answers from a folder: `.php` is HTML, a folder is its index page if it has one, everything else 404."""

    def answer(host: str, path: str) -> Answer:
        del host
        file = (root / unquote(urlsplit(path).path).lstrip("/")).resolve()
        if file.is_dir():
            file = next((file / name for name in ("index.html", "index.php") if (file / name).is_file()), file)
        if not file.is_relative_to(root.resolve()) or not file.is_file():
            return NOT_FOUND
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if file.suffix == ".php":
            media_type = "text/html; charset=utf-8"
        return Answer(200, {"Content-Type": media_type}, file.read_bytes())

    return answer


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
