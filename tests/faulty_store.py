"""A proxy before an S3 server that is busy at times, loses what it is asked and what is answered, or is gone."""

import http.client
import random
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUSY, UNASKED, UNANSWERED = "busy", "unasked", "unanswered"
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_NOT_PASSED_ON = {"transfer-encoding", "connection", "content-length"}


@dataclass
class Faults:
    """What goes wrong before a store.

    Attributes:
        endpoint: The proxy's URL.
        share: Of the requests that go wrong in each of the three ways.
        lost: How many answers to what is put are lost, of the next ones.
        is_gone: Whether every connection ends without an answer.
        refusals: Codes of errors, with status, that requests of a method and a header are refused with.
        seen: How often each fault has come.
    """

    endpoint: str = ""
    share: float = 0.0
    lost: int = 0
    is_gone: bool = False
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def draw(self, method: str) -> str:
        """Return the fault of the next request, "" for none."""
        if method == "PUT" and self.lost:
            self.lost -= 1
            self.seen[UNANSWERED] += 1
            return UNANSWERED
        drawn = self.chance.random()
        for number, fault in enumerate((BUSY, UNASKED, UNANSWERED), 1):
            if drawn < number * self.share:
                self.seen[fault] += 1
                return fault
        return ""


@contextmanager
def faulty_store(endpoint: str) -> Iterator[Faults]:
    """Run a proxy before a server."""
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *_: object) -> None:
            pass

        def handle_expect_100(self) -> bool:
            return faults.is_gone or super().handle_expect_100()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = UNASKED if faults.is_gone else faults.draw(self.command)
            if fault == UNASKED:
                self.close_connection = True
                return
            if fault == BUSY:
                self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
                return
            for (method, header), (status, code) in faults.refusals.items():
                if self.command == method and header in self.headers:
                    told = f"<Error><Code>{code}</Code><Message>told by the test</Message></Error>".encode()
                    self._answer(status, [("Content-Type", "application/xml")], told)
                    return
            status, headers, data = self._asked(body)
            if fault == UNANSWERED:
                self.close_connection = True
                return
            self._answer(status, headers, data)

        def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            server = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=60)
            try:
                server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() != "expect":
                        server.putheader(name, value)
                server.endheaders(body)
                answer = server.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                server.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
            self.send_response_only(status)
            size = str(len(data))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    size = value
                elif name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", size)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        faults.endpoint = f"http://127.0.0.1:{proxy.server_port}"
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        try:
            yield faults
        finally:
            proxy.shutdown()
            serving.join()
