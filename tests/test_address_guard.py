"""Every refused address by every way in: nobody connects to it, and the ledger says why.

The web of these tests is one server on loopback, which `open.example` is. All other names are looked up in a table, and
a connection to any other address than that server's is noted and not made.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3.connection
import urllib3.util.connection
from rich.console import Console

from crawl.api import request_json
from crawl.host import HostWork
from crawl.http import FetchError
from crawl.lane import visit_lane
from crawl.records import Kind, Target
from crawl.settings import FetchSettings, Scope
from crawl.urls import canonical_url, host_of
from pipelines.build import build
from pipelines.load_recipe import check_recipe
from tests.builds import manifest_of
from tests.loopback import NOT_FOUND, Answer, listen, serve

OPEN = "open.example"
PUBLIC = "93.184.215.14"

REFUSED_V4 = (
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
REFUSED_V6 = (
    "::", "::1", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::ffff:0:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:53aa:64c:0:fbff:f5ff:fffe", "2001:db8::1", "2002:7f00:1::",
    "2002:c0a8:101::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2600:1::5efe:7f00:1",
)  # fmt: skip
REFUSED = REFUSED_V4 + REFUSED_V6

SPELLINGS = (
    "127.1", "127.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "0177.1", "2130706433", "0x7f000001",
    "017700000001", "127.0.0.1.", "①②⑦.⓪.⓪.①", "１２７．０．０．１", "127。0。0。1", "127.0.0.0x1",
    "127.00.00.01", "%31%32%37.0.0.1", "0", "0.0", "0x0", "00000000", "0xa9fea9fe", "2852039166",
    "0251.0376.0251.0376", "169.254.43518", "169.16689662", "0xA9.0xFE.0xA9.0xFE", "１６９.254.169.254", "10.1",
    "0xa.1", "012.1", "167772161", "192.168.257", "0xc0.0xa8.1", "3232235521", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::FFFF:169.254.169.254]",
    "[64:ff9b::127.0.0.1]", "[2002:7f00:0001::]", "localhost", "LOCALHOST", "localhost.", "ｌｏｃａｌｈｏｓｔ",
    "a.localhost", "loc\tal\nhost", "loc\u00adalhost",
)  # fmt: skip
"""Of hosts: all of them are an address that is refused, or a name of this machine."""

NEVER_URLS = (
    "http://trees.example@127.0.0.1/", "http://127.0.0.1@127.0.0.1/", "http://gardener:secret@10.0.0.1/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1", "http://127.0.0.1.1/", "http://256.0.0.1/",
    "http://0x100000000/", "http://4294967296/", "http://127.0.0.09/", "http://[v1.127]/", "http://[127.0.0.1]/",
    "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "javascript:fetch('http://127.0.0.1')",
)  # fmt: skip
"""What is no address to fetch at all."""


@dataclass
class Web:
    """The names there are, and what was connected to.

    Attributes:
        answers: a name's addresses, look-up after look-up; the last ones stay.
        port: of the one server.
        content: what it serves.
        connected: addresses and ports that were to be connected to, other than the server's as `open.example`.
    """

    answers: dict[str, Iterator[tuple[str, ...]]]
    port: int
    content: dict[str, Answer]
    connected: list[tuple[str, int]] = field(default_factory=list)

    def look_up(self, host: str, port: int, **_: Any) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """Stands for `socket.getaddrinfo`."""
        addresses: tuple[str, ...] = (host,) if _is_numeric(host) else next(self.answers.get(host, iter(())), ())
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in kinds]


def _is_numeric(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


@contextmanager
def _canary() -> Iterator[tuple[int, list[str]]]:
    """Listens on loopback; gives its port and the connections made to it."""
    met: list[str] = []

    def note(connection: socket.socket, address: str) -> None:
        met.append(address)
        connection.close()

    with listen(note) as port:
        yield port, met


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[int, dict[str, Answer]]]:
    """The port of the one server, and what it serves."""
    content: dict[str, Answer] = {}
    with serve(lambda host, path: content.get(path, NOT_FOUND)) as running:
        yield running.port, content


@pytest.fixture
def web(site: tuple[int, dict[str, Answer]], monkeypatch: pytest.MonkeyPatch) -> Web:
    """Puts a table in the place of the name servers, and notes each connection to elsewhere than the server."""
    web, patch = Web({}, *site), monkeypatch
    web.content.clear()
    connect = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(loop: Any, sock: socket.socket, address: Any) -> None:
        if address[:2] != ("127.0.0.1", web.port):
            web.connected.append(address[:2])
            raise ConnectionRefusedError(f"a test connects to nobody: {address}")
        await connect(loop, sock, address)

    def create_connection(address: Any, *_: Any, **__: Any) -> socket.socket:
        web.connected.append(address[:2])
        raise ConnectionRefusedError(f"a test connects to nobody: {address}")

    patch.setattr(socket, "getaddrinfo", web.look_up)
    patch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    patch.setattr(urllib3.util.connection, "create_connection", create_connection)
    return web


def _url(address: str) -> str:
    return canonical_url(f"http://[{address}]/" if ":" in address else f"http://{address}/") or ""


def _page(body: str) -> Answer:
    return Answer(200, {"Content-Type": "text/html"}, body.encode())


def _moved(url: str) -> Answer:
    return Answer(302, {"Location": url}, b"")


def _crawl(urls: Mapping[str, Kind], settings: FetchSettings) -> dict[str, str]:
    """Crawls URLs and then whatever they led to on other hosts, as rounds do; gives each URL's fate and reason."""

    async def visit_round(due: Mapping[str, Kind]) -> dict[str, Kind]:
        works: dict[str, list[Target]] = {}
        for url, kind in due.items():
            works.setdefault(host_of(url), []).append(Target(url, kind, 0, "", ""))
        found: dict[str, Kind] = {}
        async for visit in visit_lane([HostWork(host, targets) for host, targets in works.items()], settings):
            fates[visit.row.url] = f"{visit.row.fate} {visit.row.reason}".strip()
            found |= {link.to_url: link.kind for link in visit.links if host_of(link.to_url) != visit.row.host}
        return found

    fates: dict[str, str] = {}
    due = dict(urls)
    while due:
        found = asyncio.run(visit_round(due))
        due = {url: kind for url, kind in found.items() if url not in fates}
    return fates


def _settings(port: int = 0, *ports: int) -> FetchSettings:
    return FetchSettings(
        contact="gardener@trees.example",
        scopes={"": Scope(None, sitemaps=True)},
        delay_s=0,
        response_time_multiple=0,
        max_attempts=1,
        timeout_s=5,
        allow_hosts=(OPEN,),
        allow_ports=(80, 443, *ports),
        connect_to={OPEN: f"127.0.0.1:{port}"},
        site_opt_outs=False,
    )


def _on_the_open_site(web: Web, content: Mapping[str, Answer], **changes: Any) -> dict[str, str]:
    """Crawls a site that is open, and all it leads to."""
    web.content |= content
    return _crawl({f"http://{OPEN}/": "page"}, replace(_settings(web.port), **changes))


def _always(*addresses: str) -> Iterator[tuple[str, ...]]:
    return itertools.repeat(addresses)


def _by_literal(web: Web, address: str) -> tuple[dict[str, str], str]:
    return _crawl({_url(address): "page"}, _settings()), _url(address)


def _by_name(web: Web, address: str) -> tuple[dict[str, str], str]:
    web.answers["inside.example"] = _always(address)
    return _crawl({"http://inside.example/": "page"}, _settings()), "http://inside.example/"


def _by_mixed_answers(web: Web, address: str) -> tuple[dict[str, str], str]:
    web.answers["mixed.example"] = _always(PUBLIC, address)
    return _crawl({"http://mixed.example/": "page"}, _settings()), "http://mixed.example/"


def _by_tls(web: Web, address: str) -> tuple[dict[str, str], str]:
    url = _url(address).replace("http:", "https:")
    return _crawl({url: "page"}, _settings()), url


def _by_redirect(web: Web, address: str) -> tuple[dict[str, str], str]:
    return _on_the_open_site(web, {"/": _moved(_url(address))}), _url(address)


def _by_redirect_to_name(web: Web, address: str) -> tuple[dict[str, str], str]:
    web.answers["inside.example"] = _always(address)
    return _on_the_open_site(web, {"/": _moved("http://inside.example/")}), "http://inside.example/"


def _by_robots_redirect(web: Web, address: str) -> tuple[dict[str, str], str]:
    return _on_the_open_site(web, {"/robots.txt": _moved(_url(address)), "/": _page("x")}), f"http://{OPEN}/"


def _by_sitemap(web: Web, address: str) -> tuple[dict[str, str], str]:
    robots = Answer(200, {}, f"Sitemap: {_url(address)}map.xml\n".encode())
    return _on_the_open_site(web, {"/robots.txt": robots, "/": _page("x")}), f"{_url(address)}map.xml"


def _by_picture(web: Web, address: str) -> tuple[dict[str, str], str]:
    return _on_the_open_site(web, {"/": _page(f'<img src="{_url(address)}1.png">')}), f"{_url(address)}1.png"


def _by_link(web: Web, address: str) -> tuple[dict[str, str], str]:
    return _on_the_open_site(web, {"/": _page(f'<a href="{_url(address)}">x</a>')}), _url(address)


WAYS: dict[str, Callable[[Web, str], tuple[dict[str, str], str]]] = {
    "literal": _by_literal,
    "name": _by_name,
    "mixed answers": _by_mixed_answers,
    "TLS": _by_tls,
    "redirect": _by_redirect,
    "redirect to a name": _by_redirect_to_name,
    "robots.txt redirect": _by_robots_redirect,
    "sitemap": _by_sitemap,
    "img": _by_picture,
    "link": _by_link,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("address", REFUSED)
def test_no_way_leads_to_a_refused_address(address: str, way: str, web: Web):
    fates, url = WAYS[way](web, address)
    assert web.connected == []
    assert fates[canonical_url(url) or ""] == "rejected address_refused"


@pytest.mark.parametrize("age_s", [60.0, -1.0])
@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_changes_between_look_ups_gains_nothing(
    address: str, age_s: float, web: Web, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("crawl.resolver.MAX_ANSWER_AGE_S", age_s)  # below 0: each look-up is made anew
    for first, second in (((PUBLIC,), (address,)), ((address,), (PUBLIC,)), ((PUBLIC,), (PUBLIC, address))):
        web.answers |= {"rebinding.example": itertools.chain([first], itertools.repeat(second))}
        fates = _crawl({"http://rebinding.example/": "page"}, _settings())
        assert {host for host, _ in web.connected} <= {PUBLIC}
        assert fates["http://rebinding.example/"] in ("rejected address_refused", "failed connection_failed")


@pytest.mark.parametrize("address", REFUSED)
def test_an_api_at_a_refused_address_is_not_asked(address: str, web: Web):
    answers = {
        "api.example": _always(address),
        "mixed.example": _always(PUBLIC, address),
        "rebinding.example": itertools.chain([(PUBLIC,)], _always(address)),
    }
    settings = replace(_settings(), connect_to={})
    web.answers |= answers
    for url in (_url(address), "http://api.example/", "http://mixed.example/", "https://api.example/"):
        with pytest.raises(FetchError, match="address_refused"):
            request_json(canonical_url(url) or "", {}, settings)
    assert web.connected == []
    with pytest.raises(FetchError, match="connection_failed"):
        request_json("http://rebinding.example/", {}, settings)
    assert web.connected == [(PUBLIC, 80)]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_leads_to_a_refused_address(spelling: str, scheme: str, web: Web):
    url = canonical_url(f"{scheme}://{spelling}/")
    assert url is not None
    page = f'<a href="{scheme}://{spelling}/">x</a>'
    fates = _on_the_open_site(web, {"/": _page(page)})
    assert (web.connected, fates[url]) == ([], "rejected address_refused")


@pytest.mark.parametrize("url", NEVER_URLS)
def test_what_is_no_url_for_us_is_not_followed(url: str, web: Web):
    content = {"/": _page(f'<a href="{url}">x</a><img src="{url}"><a href="/moved">x</a>'), "/moved": _moved("x")}
    fates = _on_the_open_site(web, {**content, "/moved": _moved(url)})
    assert canonical_url(url) is None
    assert web.connected == []
    assert fates == {f"http://{OPEN}/": "kept", f"http://{OPEN}/moved": "failed bad_redirect"}


@pytest.mark.parametrize("file", ["/.well-known/tdmrep.json", "/ai.txt"])
@pytest.mark.parametrize("address", REFUSED)
def test_files_of_a_site_are_not_looked_for_elsewhere(address: str, file: str, web: Web):
    fates = _on_the_open_site(web, {file: _moved(_url(address)), "/": _page("x")}, site_opt_outs=True)
    assert (web.connected, fates) == ([], {f"http://{OPEN}/": "kept"})


@pytest.mark.parametrize("port", [1, 22, 25, 81, 3306, 6379, 8080, 8443, 11211, 65535])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ports_that_the_recipe_does_not_name_are_not_asked(port: int, scheme: str, web: Web):
    url = f"{scheme}://public.example:{port}/"
    web.answers |= {"public.example": _always(PUBLIC)}
    assert _crawl({url: "page"}, _settings()) == {url: "rejected address_refused"}
    assert web.connected == []
    assert _crawl({url: "page"}, _settings(0, port)) == {url: "failed connection_failed"}
    assert web.connected == [(PUBLIC, port)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_a_listener_on_this_machine_hears_nothing(host: str):
    with _canary() as (port, met):
        url = canonical_url(f"http://{host}:{port}/") or ""
        assert _crawl({url: "page"}, _settings(0, port)) == {url: "rejected address_refused"}
        with pytest.raises(FetchError, match="address_refused"):
            request_json(url, {}, _settings(0, port))
        assert met == []
        with socket.create_connection(("127.0.0.1", port)):  # it does hear who connects
            pass
        while not met:
            pass
    assert met == ["127.0.0.1"]


@pytest.mark.parametrize(
    "variable", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
)
def test_proxies_of_the_environment_hear_nothing(variable: str, web: Web, monkeypatch: pytest.MonkeyPatch):
    web.answers |= {"public.example": _always(PUBLIC)}
    with _canary() as (port, met):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        web.port = port
        for url in ("http://public.example/", "https://public.example/"):
            assert _crawl({url: "page"}, _settings()) == {url: "failed connection_failed"}
            with pytest.raises(FetchError, match="connection_failed"):
                request_json(url, {}, _settings())
    assert met == []
    assert web.connected == [(PUBLIC, 80), (PUBLIC, 80), (PUBLIC, 443), (PUBLIC, 443)]


def test_a_public_host_is_connected_to_at_the_address_that_was_checked(web: Web):
    web.answers |= {"public.example": _always(PUBLIC, "2606:4700::1111")}
    assert _crawl({"http://public.example/": "page"}, _settings()) == {
        "http://public.example/": "failed connection_failed"
    }
    assert set(web.connected) == {(PUBLIC, 80), ("2606:4700::1111", 80)}


def test_a_list_and_seeds_of_refused_addresses_are_rejected_line_by_line(tmp_path: Path):
    written = [*map(_url, REFUSED), *(f"http://{spelling}/" for spelling in SPELLINGS if spelling.isprintable())]
    (tmp_path / "list.txt").write_text("".join(f"{url}\n" for url in written), "utf-8")
    sources: dict[str, Any] = {
        "listed": {"source": "urls", "files": [str(tmp_path / "list.txt")], "kind": "page"},
        "seeds": {"source": "site", "seeds": [f"http://{OPEN}/", *map(_url, REFUSED_V6)]},
    }
    with serve(lambda host, path: _page("x") if path == "/" else NOT_FOUND) as site:
        crawl = {
            "sources": sources,
            "allow_hosts": [OPEN],
            "connect_to": {OPEN: f"127.0.0.1:{site.port}"},
            "delay_s": 0,
        }
        recipe = check_recipe({"name": "inside", "contact": "gardener@trees.example", "crawl": crawl}, "inside.yaml")
        build(recipe, tmp_path / "out", recipe.stages(), 1, Console(quiet=True))
    counts = manifest_of(tmp_path / "out", "crawl").counts
    assert (counts.kept, counts.failed) == (1, {})
    assert counts.rejected == {"address_refused": len({canonical_url(url) for url in written})}
