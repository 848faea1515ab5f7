"""The inspection page of a build, served on loopback for tests."""

import html
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image
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


def text_of(client: TestClient, path: str) -> str:
    """What a page says, blanks folded."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def keys_in(client: TestClient, path: str) -> list[str]:
    """The keys of the samples in a grid."""
    return re.findall(r'href="/triplet\?key=([^"&]*)', client.get(path).text)


def picture_at(client: TestClient, path: str) -> np.ndarray:
    answer = client.get(path)
    assert answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))
