"""Common Crawl, played on loopback: a list of crawls, a CDX server as pywb is one, and the WARC files, with ranges.

Source: https://pywb.readthedocs.io/en/latest/manual/cdxserver_api.html.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecordType

CRAWLS = ("CC-MAIN-2024-26", "CC-MAIN-2024-22")
PAGE_LINES = 5


class Said(NamedTuple):
    """What the server says to one request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass
class CommonCrawl:
    """A running server.

    Attributes:
        url: of the server.
        files: WARC files by the name the index gives them.
        captures: fields of every response in them, as the index has them; all are in the second crawl.
        requests: path and query of every request, in order.
        fault: may say something else instead, given how many requests came before for the same path and query.
    """

    files: dict[str, bytes]
    captures: list[dict[str, str]]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    fault: Callable[[str, int], Said | None] = lambda path, times: None

    def say(self, path: str, byte_range: str | None) -> Said:
        times = self.requests.count(path)
        self.requests.append(path)
        return self.fault(path, times) or self._say(path, byte_range)

    def _say(self, path: str, byte_range: str | None) -> Said:
        place = urlsplit(path).path
        if place == "/collinfo.json":
            crawls = [{"id": name, "cdx-api": f"{self.url}/{name}-index"} for name in CRAWLS]
            return Said(200, json.dumps(crawls).encode())
        if place in {f"/{name}-index" for name in CRAWLS}:
            return self._search(parse_qs(urlsplit(path).query), self.captures if CRAWLS[1] in place else [])
        file = self.files.get(place.removeprefix("/data/"))
        if file is None:
            return Said(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return _range(file, byte_range)

    def _search(self, query: dict[str, list[str]], captures: list[dict[str, str]]) -> Said:
        url, match = query["url"][0], query["matchType"][0]
        found = [item for item in captures if _matches(item["url"], url, match)]
        num_pages = -(-len(found) // PAGE_LINES)
        if "showNumPages" in query:
            return Said(200, json.dumps({"pages": num_pages, "pageSize": 1, "blocks": num_pages}).encode())
        page = int(query["page"][0])
        if page >= max(num_pages, 1):
            return Said(400, b'{"message": "Page %d invalid"}' % page)
        lines = found[page * PAGE_LINES : (page + 1) * PAGE_LINES]
        kept = [item for item in lines if all(_passes(item, condition) for condition in query.get("filter", ()))]
        if not kept:
            return Said(404, json.dumps({"message": f"No Captures found for: {url}"}).encode())
        fields = query["fl"][0].split(",")
        return Said(200, "".join(json.dumps({name: item[name] for name in fields}) + "\n" for item in kept).encode())


def captures_of(files: dict[str, Path]) -> list[dict[str, str]]:
    """Returns the index of the responses in some WARC files."""
    captures: list[dict[str, str]] = []
    for name, path in files.items():
        starts: list[tuple[int, dict[str, str]]] = []
        with path.open("rb") as file:
            for record in ArchiveIterator(file):
                item: dict[str, str] = {}
                if record.record_type == WarcRecordType.response and record.http_headers is not None:
                    item = {
                        "url": record.headers["WARC-Target-URI"].strip("<>"),
                        "timestamp": re.sub(r"\D", "", record.headers["WARC-Date"])[:14],
                        "status": str(record.http_headers.status_code),
                        "mime": (record.http_content_type or "unk").strip(),
                        "digest": base64.b32encode(hashlib.sha1(record.reader.read()).digest()).decode(),
                        "languages": "eng,deu" if len(captures) + len(starts) % 2 else "fra",
                        "filename": name,
                    }
                starts.append((record.stream_pos, item))
        ends = [start for start, _ in starts[1:]] + [path.stat().st_size]
        for (start, item), end in zip(starts, ends, strict=True):
            if item:
                captures.append({**item, "offset": str(start), "length": str(end - start)})
    return sorted(captures, key=lambda item: (_reversed_host(item["url"]), item["url"], item["timestamp"]))


def _reversed_host(url: str) -> list[str]:
    return (urlsplit(url).hostname or "").split(".")[::-1]


def _matches(url: str, wanted: str, match: str) -> bool:
    host, bare = urlsplit(url).hostname or "", re.sub(r"^https?://", "", url)
    if match == "domain":
        return host == wanted or host.endswith(f".{wanted}")
    if match == "host":
        return host == wanted
    return bare.startswith(wanted) if match == "prefix" else bare == wanted


def _passes(item: dict[str, str], condition: str) -> bool:
    name, _, expression = condition[1:].partition(":")
    return bool(re.match(expression, item[name])) if condition[0] == "~" else item[name] == expression


def _range(file: bytes, asked: str | None) -> Said:
    if asked is None:
        return Said(200, file)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if int(first) >= len(file):
        return Said(416, b"", {"Content-Range": f"bytes */{len(file)}"})
    body = file[int(first) : int(last) + 1]
    return Said(206, body, {"Content-Range": f"bytes {first}-{int(first) + len(body) - 1}/{len(file)}"})


@contextmanager
def serve_common_crawl(files: dict[str, Path]) -> Iterator[CommonCrawl]:
    """Serves WARC files and their index until the block ends."""
    state = CommonCrawl({name: path.read_bytes() for name, path in files.items()}, captures_of(files))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            said = state.say(self.path, self.headers.get("Range"))
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
