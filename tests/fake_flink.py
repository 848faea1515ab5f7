"""Stand-ins for a Flink cluster's REST interface and Beam's job server."""

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc

_SERVICE = "org.apache.beam.model.job_management.v1.JobService"


class Fake(NamedTuple):
    """A stand-in for Flink's REST interface.

    Attributes:
        address: `HOST:PORT`.
        answers: by path, to be changed.
        asked: method and path of each request.
    """

    address: str
    answers: dict[str, Any]
    asked: list[str]

    def list_jobs(self, *jobs: tuple[str, str, str], **more: str) -> list[dict[str, Any]]:
        """Makes it list jobs, each its number, name and state; returns what it lists, which changes as they are ended.

        Args:
            jobs: what is listed.
            more: `meanwhile` is the state that each has come to when it is told to end, `then` the one it goes to.
        """
        listed = [{"jid": jid, "name": name, "state": state, "start-time": 0, **more} for jid, name, state in jobs]
        self.answers["/jobs/overview"] = {"jobs": listed}
        return listed

    def fail(self, *entries: dict[str, Any], state: str = "RUNNING") -> None:
        """Makes job `a` one with a history of failures, the latest first."""
        self.answers["/jobs/a"] = {"state": state, "vertices": []}
        self.answers["/jobs/a/exceptions"] = {"exceptionHistory": {"entries": list(entries)}}


def entry(at_ms: int, text: str, *together: str, endpoint: str | None = None) -> dict[str, Any]:
    """An entry of a job's history: a failure, and those of the same moment, each a millisecond after the other."""
    others = [entry(at_ms + number, other) for number, other in enumerate(together, 1)]
    return {"timestamp": at_ms, "stacktrace": text, "endpoint": endpoint, "concurrentExceptions": others}


@contextmanager
def fake_flink(**overview: int) -> Iterator[Fake]:
    """One that runs no job."""
    fake = Fake("", {"/overview": overview, "/jobs/overview": {"jobs": []}}, [])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(200 if self.path in fake.answers else 404, fake.answers.get(self.path))

        def do_PATCH(self) -> None:
            self.say(_ended(fake, self.path), {})

        def say(self, status: int, answer: object) -> None:
            fake.asked.append(f"{self.command} {self.path}")
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake._replace(address=f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _ended(fake: Fake, path: str) -> int:
    """Ends a job; returns the status of the answer, which is as of Flink 1.19's `JobCancellationHandler`."""
    for job in fake.answers["/jobs/overview"]["jobs"]:
        if path == f"/jobs/{job['jid']}?mode=cancel":
            job["state"] = job.get("meanwhile", job["state"])
            if job["state"] in ("FINISHED", "FAILED"):
                return 409
            job["state"] = job.get("then", "CANCELED")
            return 202
    return 404


@contextmanager
def fake_job_server(holding: threading.Event | None = None) -> Iterator[str]:
    """The address of one that answers what every build asks first, and takes no job.

    Args:
        holding: set when the first job comes; then the server keeps whoever hands it in waiting, else it refuses it.
    """
    is_over = threading.Event()

    def hold(_job: bytes, _context: grpc.ServicerContext) -> bytes:
        assert holding is not None
        holding.set()
        is_over.wait()
        return b""

    methods = {"DescribePipelineOptions": grpc.unary_unary_rpc_method_handler(lambda _asked, _context: b"")}
    if holding is not None:
        methods["Prepare"] = grpc.unary_unary_rpc_method_handler(hold)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        is_over.set()
        server.stop(None).wait()
