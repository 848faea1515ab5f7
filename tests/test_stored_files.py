"""Lists and archives behind the web: had as everything else is, with the guard, our name, pauses and limits."""

import io
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crawl import ranges, stored_file
from crawl.settings import FetchSettings
from crawl.stored_file import StoredFileError, open_stored, size_of_stored
from pipelines import source_files
from pipelines.build import build
from pipelines.errors import StageError
from pipelines.load_recipe import check_recipe
from tests.builds import table_rows
from tests.file_server import serve_files
from tests.warc_samples import real_archives

SETTINGS = FetchSettings(contact="x", allow_hosts=("127.0.0.1",), delay_s=0, timeout_s=0.5, max_attempts=1)


def _build(out: Path, source: dict[str, Any], **manners: Any) -> None:
    crawl = {"sources": {"grove": source}, "allow_hosts": ["127.0.0.1"], "delay_s": 0, "max_attempts": 1, **manners}
    data = {"name": "stored", "contact": "gardener@example.org", "crawl": crawl}
    build(check_recipe(data, "stored.yaml"), out, ("crawl",), 1, Console(quiet=True))


@contextmanager
def _server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """Serves on loopback until the block ends; gives the URL and who asked, by User-Agent."""
    agents: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            agents.append(self.headers.get("User-Agent", ""))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", agents
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("size", [0, 1, 999, 1_000, 12_345])
def test_a_file_behind_the_web_is_read_as_one_on_disk(
    has_ranges: bool, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stored_file, "BLOCK_BYTES", 1_000)
    chance = random.Random(size)
    (tmp_path / "file").write_bytes(data := chance.randbytes(size))
    with serve_files(tmp_path) as server:
        server.has_ranges = has_ranges
        assert size_of_stored(f"{server.url}/file", SETTINGS) == size
        with open_stored(f"{server.url}/file", SETTINGS) as file:
            expected = io.BytesIO(data)
            for _ in range(50):
                offset, length = chance.randrange(size + 9), chance.choice((0, 1, 700, 3_000))
                assert file.seek(offset) == expected.seek(offset) == file.tell()
                assert file.read(length) == expected.read(length)
            assert file.seek(-min(size, 5), io.SEEK_END) == expected.seek(-min(size, 5), io.SEEK_END)
            assert file.read() == expected.read()


def test_a_large_archive_behind_the_web_is_read_in_ranges_and_gives_the_same(tmp_path: Path):
    name = "sample-0000.warc.gz"
    (tmp_path / name).write_bytes(real_archives()[name])
    with serve_files(tmp_path) as server:
        source = {"source": "warc", "split_bytes": 64 * 1024}
        _build(tmp_path / "web", {**source, "files": [f"{server.url}/{name}"]})
        _build(tmp_path / "disk", {**source, "files": [str(tmp_path / name)]})
    facts = [
        sorted((row["url"], row["fate"], row["sha256"]) for row in table_rows(tmp_path / where, "crawl", "ledger-"))
        for where in ("web", "disk")
    ]
    assert facts[0] == facts[1]
    assert len(facts[0]) > 5


@pytest.mark.parametrize(("kind", "name"), [("urls", "list.txt"), ("warc", "a.warc.gz")])
def test_a_redirect_of_a_list_or_archive_is_not_followed_to_where_it_must_not_lead(
    kind: str, name: str, tmp_path: Path
):
    def found(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"{canary}/secret.txt")
        handler.end_headers()

    with _server(lambda handler: handler.send_error(404)) as (canary, visitors), _server(found) as (url, agents):
        with pytest.raises(StageError, match=f"http_302: {url}/{name} answered 302"):
            _build(tmp_path, {"source": kind, "files": [f"{url}/{name}"]})
        assert visitors == []
        assert len(agents) == 1
        assert agents[0].startswith("seedbed/")
        with pytest.raises(StageError, match=r"address_refused: .*; if that machine is yours, name the host under"):
            _build(tmp_path, {"source": kind, "files": [f"{url}/{name}"]}, allow_hosts=[])
        assert len(agents) == 1


def test_an_endless_list_ends_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"http://a.example/x.png\n" * 4_000)
        except OSError:
            return

    monkeypatch.setattr(ranges, "_MAX_WHOLE_BYTES", 2**20)
    with _server(endless) as (url, _), pytest.raises(StageError, match=r"too_many_bytes: .* more than 1048576"):
        _build(tmp_path, {"source": "urls", "files": [f"{url}/list.txt"]})


def test_a_list_that_keeps_coming_may_take_its_time_and_one_that_drips_may_not():
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        piece = b"x" * (70_000 if "fast" in handler.path else 10)
        try:
            for _ in range(8):
                handler.wfile.write(piece)
                stop.wait(0.2)
        except OSError:
            return

    stop = threading.Event()
    with _server(slowly) as (url, _):
        assert size_of_stored(f"{url}/fast", SETTINGS) == 560_000
        with pytest.raises(StoredFileError, match="timeout") as caught:
            size_of_stored(f"{url}/drip", SETTINGS)
        assert caught.value.reason == "timeout"


def test_a_server_that_lies_about_ranges_is_not_believed():
    def lie(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", handler.path[1:].replace("_", " "))
        handler.end_headers()
        handler.wfile.write(b"oak")

    with _server(lie) as (url, _):
        for said in ("bytes_0-2/999999999999", "bytes_1-3/4", "bytes_0-2/*", "x"):
            with pytest.raises(StoredFileError, match="bad_range"):
                size_of_stored(f"{url}/{said}", SETTINGS)
        with pytest.raises(StoredFileError, match="incomplete_body"):
            size_of_stored(f"{url}/bytes_0-3/4", SETTINGS)


def test_an_error_that_says_nothing_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(path: str, settings: FetchSettings) -> None:
        raise TimeoutError

    monkeypatch.setattr(source_files, "open_stored", fail)
    (tmp_path / "list.txt").write_text("http://a.example/")
    with pytest.raises(StageError, match="crawl: source 'grove': TimeoutError; check the source's files"):
        _build(tmp_path / "out", {"source": "urls", "files": [str(tmp_path / "list.txt")]})
