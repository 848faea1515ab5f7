"""A folder served over HTTP on loopback, with ranges, and with whatever faults a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PIECE = 1024


@dataclass
class Served:
    """What a request is about to be answered; a fault may change it.

    Attributes:
        path: Asked for, without the first slash.
        times: How often it was asked for before, whole or in part.
        status: Of the answer.
        body: Of the answer.
        num_sent: How many bytes of the body go out before the connection is cut; all if None.
        content_range: The header of this name, "" where the answer is whole.
    """

    path: str
    times: int
    status: int
    body: bytes
    num_sent: int | None = None
    content_range: str = ""


@dataclass
class FileServer:
    """A running server.

    Attributes:
        url: Of the folder.
        requests: Paths asked for by GET with the bytes that were sent, in order.
        fault: Changes what is about to be answered.
        has_ranges: Whether ranges are heeded.
    """

    folder: Path
    url: str = ""
    requests: list[tuple[str, int]] = field(default_factory=list)
    fault: Callable[[Served], None] = lambda served: None
    has_ranges: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def num_bytes(self, suffix: str) -> int:
        """How many bytes of files that end so were sent."""
        return sum(sent for path, sent in self.requests if path.endswith(suffix))


@contextmanager
def serve_files(folder: Path) -> Iterator[FileServer]:
    """Serve a folder until the block ends."""
    state = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path).lstrip("/")
            file = state.folder / path
            whole = file.read_bytes() if file.is_file() else b""
            served = Served(path, 0, 200 if file.is_file() else 404, whole)
            asked = self.headers.get("Range")
            if served.status == 200 and asked and state.has_ranges:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                served.status, served.body = 206, whole[int(first) : int(last) + 1 if last else None]
                served.content_range = f"bytes {first}-{int(first) + len(served.body) - 1}/{len(whole)}"
                if not served.body:
                    served.status, served.content_range = 416, f"bytes */{len(whole)}"
            with state.lock:
                served.times = sum(path == other for other, _ in state.requests)
                if with_body:
                    state.fault(served)
                    state.requests.append((path, len(served.body) if served.status < 400 else 0))
            self.send_response(served.status)
            self.send_header("Content-Length", str(len(served.body)))
            if state.has_ranges:
                self.send_header("Accept-Ranges", "bytes")
            if served.content_range:
                self.send_header("Content-Range", served.content_range)
            self.end_headers()
            if with_body:
                self.wfile.write(served.body[: served.num_sent])
            if served.num_sent is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
