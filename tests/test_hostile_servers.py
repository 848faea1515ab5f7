"""Servers that mean no good: each crawl ends in its time, with a reason, and without filling the memory."""

import gzip
import itertools
import ssl
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import brotli
import pytest

from tests.certificates import Authority
from tests.hostile_server import RESET, Hostile, Pieces, serve_hostile
from tests.measured_crawl import Measured, MeasuredCrawler, measured_crawler

HOST = "trees.example"
MAX_GROWTH_MB = 64
TIMEOUT_S = 0.5
CHUNK = bytes(65536)
MIB = 2**20

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n"
PNG = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"Content-Length: 0\r\nConnection: close\r\n"
NOT_HERE = b"HTTP/1.1 404 Not Found\r\n" + LAST + b"\r\n"


class Case(NamedTuple):
    """What a server sends, what the URL then comes to, and what was expected there."""

    pieces: Callable[[], Pieces]
    fate: str
    kind: str = "page"


def _once(*pieces: bytes | float | object) -> Callable[[], Pieces]:
    return lambda: iter(pieces)


def _endless(head: bytes, piece: bytes, wait_s: float = 0.0) -> Callable[[], Pieces]:
    def pieces() -> Pieces:
        yield head
        while True:
            yield piece
            if wait_s:
                yield wait_s

    return pieces


def _whole(body: bytes, *headers: bytes, head: bytes = OK) -> Callable[[], Pieces]:
    lines = b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: %d" % len(body)))
    return _once(head + lines + b"\r\n" + body)


def _attributes(count: int) -> bytes:
    """One tag with so many attributes, each of another name."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    names = itertools.islice(itertools.product(letters[:26], letters, letters, letters), count)
    return b"<p " + " ".join(map("".join, names)).encode() + b">"


def _with_charset(label: str, body: bytes) -> Callable[[], Pieces]:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={label}\r\n".encode()
    return _whole(body, head=head)


def _raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return deflate.compress(data) + deflate.flush()


ZEROS = bytes(64 * MIB)
ZIPPED = gzip.compress(ZEROS, 6)
LINKS = b"".join(b'<a href="/%d">x</a>' % number for number in range(100_000))

CASES = {
    "headers drip": Case(_endless(OK, b"X", 0.02), "failed timeout"),
    "a status line drips": Case(_endless(b"HTTP/1.1 200 ", b"O", 0.02), "failed timeout"),
    "a body drips": Case(_endless(OK + b"Content-Length: 99999\r\n\r\n", b"x", 0.02), "failed timeout"),
    "a coded body drips": Case(
        _endless(OK + b"Content-Encoding: gzip\r\n\r\n" + b"\x1f\x8b\x08\x08" + bytes(6), b"x", 0.02), "failed timeout"
    ),
    "chunks drip": Case(_endless(CHUNKED, b"1\r\nx\r\n", 0.02), "failed timeout"),
    "silence": Case(_once(9.0), "failed timeout"),
    "an endless body": Case(_endless(OK + b"\r\n", CHUNK), "failed too_many_bytes"),
    "an endless picture": Case(_endless(PNG + b"\r\n", CHUNK), "failed too_many_bytes", "image"),
    "an endless sitemap": Case(_endless(OK + b"\r\n", CHUNK), "failed too_many_bytes", "sitemap"),
    "endless chunks": Case(_endless(CHUNKED, b"10000\r\n" + CHUNK + b"\r\n"), "failed too_many_bytes"),
    "an unwanted endless body": Case(
        _endless(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", CHUNK), "rejected unwanted_type"
    ),
    "an endless page of an error": Case(_endless(b"HTTP/1.1 404 No\r\n\r\n", CHUNK), "failed http_404"),
    "endless headers": Case(_endless(OK, b"X-Tree: oak\r\n"), "failed too_many_header_bytes"),
    "an endless header": Case(_endless(OK + b"X: ", CHUNK.replace(b"\0", b"x")), "failed too_many_header_bytes"),
    "an endless header name": Case(_endless(OK, CHUNK.replace(b"\0", b"x")), "failed too_many_header_bytes"),
    "an endless status line": Case(
        _endless(b"HTTP/1.1 200 ", CHUNK.replace(b"\0", b"x")), "failed too_many_header_bytes"
    ),
    "endless trailers": Case(_endless(CHUNKED + b"0\r\n", b"X: y\r\n"), "failed too_many_header_bytes"),
    "an endless chunk extension": Case(_endless(CHUNKED + b"1;", CHUNK.replace(b"\0", b"x")), "failed timeout"),
    "a length that is too long": Case(
        _once(OK + b"Content-Length: 1000\r\n\r\n<p>oak"), "failed incomplete_body"
    ),
    "a length beyond all bounds": Case(
        _once(OK + b"Content-Length: 999999999999\r\n\r\n<p>oak"), "failed too_many_bytes"
    ),
    "a length that is too short": Case(_once(OK + b"Content-Length: 5\r\n\r\n<p>oak"), "failed http_protocol_error"),
    "a negative length": Case(_once(OK + b"Content-Length: -1\r\n\r\n<p>oak"), "failed http_protocol_error"),
    "two lengths": Case(
        _once(OK + b"Content-Length: 3\r\nContent-Length: 6\r\n\r\n<p>oak"), "failed http_protocol_error"
    ),
    "a gzip bomb": Case(_whole(ZIPPED, b"Content-Encoding: gzip"), "failed expands_too_much"),
    "a deflate bomb": Case(_whole(zlib.compress(ZEROS), b"Content-Encoding: deflate"), "failed expands_too_much"),
    "a deflate bomb without header": Case(
        _whole(_raw_deflate(ZEROS), b"Content-Encoding: deflate"), "failed expands_too_much"
    ),
    "a brotli bomb": Case(
        _whole(brotli.compress(ZEROS, quality=5), b"Content-Encoding: br"), "failed expands_too_much"
    ),
    "a picture that is a bomb": Case(
        _whole(ZIPPED, b"Content-Encoding: gzip", head=PNG), "failed expands_too_much", "image"
    ),
    "a bomb of many members": Case(
        _endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(ZEROS[:MIB])), "failed expands_too_much"
    ),
    "a bomb of empty members": Case(
        _endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000), "failed too_many_bytes"
    ),
    "a nested bomb": Case(
        _whole(gzip.compress(ZIPPED), b"Content-Encoding: gzip, gzip"), "failed bad_encoding"
    ),
    "a nested bomb in two lines": Case(
        _whole(gzip.compress(ZIPPED), b"Content-Encoding: gzip", b"Content-Encoding: br"), "failed bad_encoding"
    ),
    "a sitemap that is a nested bomb": Case(
        _whole(gzip.compress(ZIPPED), b"Content-Encoding: gzip"), "rejected sitemap_expands_too_much", "sitemap"
    ),
    "an unknown coding": Case(_whole(b"oak", b"Content-Encoding: zstd"), "failed bad_encoding"),
    "a redirect to itself": Case(
        _once(b"HTTP/1.1 302 Found\r\n" + LAST + b"Location: /\r\n\r\n"), "failed redirect_loop"
    ),
    "a redirect to nowhere": Case(
        _once(b"HTTP/1.1 302 Found\r\n" + LAST + b"Location: file:///etc/passwd\r\n\r\n"), "failed bad_redirect"
    ),
    "a redirect too long for a URL": Case(
        _once(b"HTTP/1.1 302 Found\r\n" + LAST + b"Location: /" + b"x" * 9_000 + b"\r\n\r\n"),
        "failed bad_redirect",
    ),
    "a reset at once": Case(_once(RESET), "failed connection_failed"),
    "a reset among headers": Case(_once(OK, RESET), "failed connection_failed"),
    "a reset within the body": Case(
        _once(OK + b"Content-Length: 99\r\n\r\n<p>", 0.05, RESET), "failed incomplete_body"
    ),
    "nothing at all": Case(_once(), "failed connection_failed"),
    "another protocol": Case(_once(b"SSH-2.0-OpenSSH_9.6\r\n"), "failed http_protocol_error"),
    "100,000 links": Case(_whole(LINKS), "rejected too_many_tags"),
    "as many links as may be": Case(_whole(LINKS[: LINKS.index(b'<a href="/29990">')]), "kept"),
    "a long text outside the first plane": Case(_whole("<p>\N{EVERGREEN TREE}".encode() + b"x " * 1_500_000), "kept"),
    "a tag of 500,000 attributes": Case(_whole(_attributes(500_000)), "rejected too_many_attributes"),
    "a tag of 500,000 attributes behind what looks like its end": Case(
        _whole(b'<p x=">" ' + _attributes(500_000)[3:]), "rejected too_many_attributes"
    ),
    "elements within one another": Case(_whole(b"<div>" * 20_000), "rejected nested_too_deeply"),
    "a link to a host of 300 characters": Case(_whole(b'<a href="http://%s.example/">x</a>' % (b"a" * 300)), "kept"),
    "text that is not in UTF-16": Case(_with_charset("utf-16", b"<p>oak</p>x"), "kept"),
    "text that is not in UTF-8": Case(_with_charset("utf-8", "<p>b\xfccher".encode("latin-1")), "kept"),
    "an unknown charset": Case(_with_charset("x-bark", b"<p>oak"), "kept"),
    "a charset that is no charset": Case(_with_charset("zip", b"<p>oak"), "kept"),
    "a charset of 10,000 characters": Case(_with_charset("x" * 10_000, b"<p>oak"), "kept"),
    "UTF-7": Case(_with_charset("utf-7", b"+ADw-script+AD4-"), "kept"),
    "a chunk of no size": Case(_once(CHUNKED + b"zz\r\noak\r\n"), "failed http_protocol_error"),
    "a chunk of all sizes": Case(_once(CHUNKED + b"ffffffffffffffffff\r\noak\r\n"), "failed http_protocol_error"),
    "chunks without an end": Case(_once(CHUNKED + b"3\r\noak\r\n"), "failed incomplete_body"),
    "a chunk cut off": Case(_once(CHUNKED + b"5\r\noak"), "failed incomplete_body"),
    "endless early hints": Case(
        _endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </oak.css>; rel=preload\r\n\r\n" * 100), "failed timeout"
    ),
    "endless promises to go on": Case(_endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "failed timeout"),
    "a change of protocol": Case(
        _once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: oak\r\nConnection: upgrade\r\n\r\n"), "failed http_101"
    ),
    "a pause of thirty years": Case(
        _once(b"HTTP/1.1 503 No\r\n" + LAST + b"Retry-After: 999999999\r\n\r\n"), "failed http_503"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def crawler(authority: Authority) -> Iterator[MeasuredCrawler]:
    with measured_crawler({"SSL_CERT_FILE": str(authority.pem)}) as running:
        yield running


def _crawl(crawler: MeasuredCrawler, server: Hostile, urls: dict[str, str], **settings: object) -> Measured:
    places = {HOST: f"127.0.0.1:{server.port}"}
    manners = {"delay_s": 0, "response_time_multiple": 0, "max_attempts": 1, "site_opt_outs": False}
    limits = {"timeout_s": TIMEOUT_S, "max_urls_per_host": 6}
    measured = crawler.crawl(urls, allow_hosts=[HOST], connect_to=places, **{**manners, **limits, **settings})
    assert measured.grew_mb < MAX_GROWTH_MB
    return measured


def _assert_in_time(measured: Measured) -> None:
    """Not by wall clock alone: work of a second takes ten where ten processes share the processor."""
    assert measured.worked_s < 2.5
    assert measured.waited_s < TIMEOUT_S + 2.5 + 15 * measured.worked_s


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_answer_ends_in_its_time_with_its_reason(name: str, crawler: MeasuredCrawler):
    case, url = CASES[name], f"http://{HOST}/"
    with serve_hostile(lambda path: case.pieces() if path == "/" else iter([NOT_HERE])) as server:
        measured = _crawl(crawler, server, {url: case.kind})
    assert measured.fates[url] == case.fate, measured.details[url]
    _assert_in_time(measured)


@pytest.mark.parametrize(
    ("robots", "fate"),
    [
        (_endless(OK, b"X", 0.02), "failed timeout"),
        (_endless(OK + b"Content-Length: 9999\r\n\r\n", b"#", 0.02), "failed timeout"),
        (_endless(OK + b"\r\n", b"# oak\n" * 9_999), "kept"),
        (_endless(OK + b"\r\n", b"User-agent: *\nDisallow: /\n" + b"# oak\n" * 9_999), "rejected robots_disallowed"),
        (_whole(ZIPPED, b"Content-Encoding: gzip"), "kept"),
        (_once(RESET), "failed connection_failed"),
        (
            _once(b"HTTP/1.1 302 Found\r\n" + LAST + b"Location: /robots.txt\r\n\r\n"),
            "failed robots_unavailable",
        ),
    ],
)
def test_a_hostile_robots_txt_is_cut_or_means_no(robots: Callable[[], Pieces], fate: str, crawler: MeasuredCrawler):
    with serve_hostile(lambda path: robots() if path == "/robots.txt" else _whole(b"<p>oak")()) as server:
        measured = _crawl(crawler, server, {f"http://{HOST}/": "page"})
    assert measured.fates == {f"http://{HOST}/": fate}
    _assert_in_time(measured)


def test_redirects_without_end_are_followed_so_far(crawler: MeasuredCrawler):
    numbers = itertools.count()

    def answer(path: str) -> Pieces:
        moved = b"HTTP/1.1 302 Found\r\n" + LAST + b"Location: /%d\r\n\r\n" % next(numbers)
        return iter([NOT_HERE if path == "/robots.txt" else moved])

    with serve_hostile(answer) as server:
        measured = _crawl(crawler, server, {f"http://{HOST}/": "page"}, max_redirects=5)
    assert list(measured.fates.values()) == ["rejected redirected"] * 5 + ["failed too_many_redirects"]


@pytest.mark.parametrize("host", ["a" * 300 + ".example", ".".join(["a" * 60] * 5), "a..example"])
def test_hosts_that_no_name_server_knows_are_not_looked_up(host: str, crawler: MeasuredCrawler):
    url = f"http://{host}/"
    measured = crawler.crawl({url: "page"}, delay_s=0)
    assert measured.fates == {url: "failed bad_host_name"}
    assert measured.worked_s < 1


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _old_context(certificate: Path) -> ssl.SSLContext:
    context = _server_context(certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("fault", ["none", "expired", "self_signed", "wrong_host", "untrusted", "old"])
def test_tls_is_verified_and_never_done_without(
    fault: str, crawler: MeasuredCrawler, authority: Authority, tmp_path: Path
):
    fates = {"none": "kept", "old": "failed tls_protocol_too_old"}
    certificate = {
        "expired": lambda: authority.issue(HOST, days=9),
        "self_signed": lambda: authority.issue(HOST, self_signed=True),
        "wrong_host": lambda: authority.issue("other.example"),
        "untrusted": lambda: Authority(tmp_path, "nobody").issue(HOST),
    }.get(fault, lambda: authority.issue(HOST))()
    context = _old_context(certificate) if fault == "old" else _server_context(certificate)
    answer = _whole(b"<p>oak")
    with serve_hostile(lambda path: iter([NOT_HERE]) if path == "/robots.txt" else answer(), context) as server:
        measured = _crawl(crawler, server, {f"https://{HOST}/": "page"})
    assert measured.fates == {f"https://{HOST}/": fates.get(fault, f"failed tls_certificate_{fault}")}
    assert server.paths == (["/robots.txt", "/"] if fault == "none" else [])
    assert server.num_tls == (2 if fault == "none" else 1)


@pytest.mark.parametrize(
    ("pieces", "fate"), [(_once(9.0), "failed timeout"), (_once(b"HTTP/1.1 400 Bad\r\n\r\n"), "failed tls_failed")]
)
def test_a_server_that_speaks_no_tls_fails_as_such(pieces: Callable[[], Pieces], fate: str, crawler: MeasuredCrawler):
    with serve_hostile(lambda path: pieces()) as server:
        measured = _crawl(crawler, server, {f"https://{HOST}/": "page"})
    assert measured.fates == {f"https://{HOST}/": fate}
    assert server.num_tls == 1
