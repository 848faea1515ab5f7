"""The inspection page of a build, served on loopback for tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.testclient import TestClient

from pipelines.inspect.server import new_app
from pipelines.inspect.sources import Source

LOOPBACK = "http://127.0.0.1:8033"


def client_of(out: Path, beside: Path | None = None) -> TestClient:
    """Asks the page of a build without a socket between."""
    source = Source(out, Source(beside) if beside else None)
    return TestClient(new_app(source), base_url=LOOPBACK, follow_redirects=False)


@contextmanager
def serving(out: Path, beside: Path | None = None) -> Iterator[str]:
    """The address of the page of a build, for a browser."""
    app = new_app(Source(out, Source(beside) if beside else None))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
