"""The arboretum on loopback: one server for all its hosts, told apart by the Host header.

`python -m crawl.demo.server --port 8000` serves it for a look round and says how a browser gets there.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Final, NamedTuple

from crawl.demo.layout import PAGES_HOST, PICTURES_HOST
from crawl.demo.site import Reply, Site

LOOPBACK: Final = "127.0.0.1"
_IDLE_S: Final = 30.0  # after which a silent connection is closed


class Request(NamedTuple):
    """One line of the server's log."""

    host: str
    path: str
    status: int
    user_agent: str


@dataclass(slots=True)
class DemoServer:
    """A running server.

    Attributes:
        port: on its address.
        log: every request answered, in order; the proof of what was asked for.
        address: of this machine.
    """

    port: int
    log: list[Request] = field(default_factory=list)
    address: str = LOOPBACK

    @property
    def connect_to(self) -> dict[str, str]:
        """Where connections to each host of the site go, as "address:port"."""
        return dict.fromkeys((PAGES_HOST, PICTURES_HOST), f"{self.address}:{self.port}")


@contextmanager
def serve(seed: int, port: int = 0, site: Site | None = None, address: str = LOOPBACK) -> Iterator[DemoServer]:
    """Serve the site of a seed on an address of this machine until the block ends.

    Args:
        seed: of the site; not used where `site` is given.
        port: to listen on, 0 for any that is free.
        site: to serve instead of the whole one.
        address: to listen on.
    """
    server = DemoServer(port, address=address)
    with _Listener((address, port), _handler_of(site or Site(seed), server.log)) as listener:
        server.port = listener.server_address[1]
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a visitor who left in the middle of an answer; anything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Bind without asking the name service who the address is, as the standard library's does."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


def _handler_of(site: Site, log: list[Request]) -> type[BaseHTTPRequestHandler]:
    """A request handler that answers from `site` and writes to `log`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE_S
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            """Answer with the page or file."""
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            """Answer with the headers alone."""
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            host = self.headers.get("Host", "").partition(":")[0].lower()
            reply = site.reply(host, self.path.partition("?")[0])
            log.append(Request(host, self.path, reply.status, self.headers.get("User-Agent", "")))
            self._send(reply, with_body=with_body)

        def _send(self, reply: Reply, *, with_body: bool) -> None:
            self.send_response_only(reply.status)  # without Date, so that the same seed sends the same bytes
            for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: `log` holds what was asked."""

    return Handler


def main() -> None:
    """Serve the site until interrupted and say how to look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with serve(options.seed, options.port) as server:
        print(f"curl --connect-to ::{LOOPBACK}:{server.port} http://{PAGES_HOST}/")
        print(f"chromium --host-resolver-rules='MAP *.example {LOOPBACK}:{server.port}' http://{PAGES_HOST}/")
        with suppress(KeyboardInterrupt):
            Event().wait()


if __name__ == "__main__":
    main()
