"""TLS: one context for the whole process, which verifies, whoever asks."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

import crawl.tls
from crawl.api import request_json
from crawl.host import HostWork
from crawl.http import FetchError
from crawl.lane import visit_lane
from crawl.records import Target
from crawl.settings import FetchSettings, Scope
from tests.certificates import Authority
from tests.hostile_server import Pieces, serve_hostile

NUM_HOSTS = 20


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ssl.SSLContext]]:
    """The contexts that are made from now on, wherever; this process then has none yet."""
    contexts: list[ssl.SSLContext] = []
    make = ssl.SSLContext.__new__

    def note(kind: type[ssl.SSLContext], protocol: int = ssl.PROTOCOL_TLS_CLIENT) -> ssl.SSLContext:
        contexts.append(make(kind, protocol))
        return contexts[-1]

    monkeypatch.setattr(ssl.SSLContext, "__new__", note)
    crawl.tls.tls_context.cache_clear()
    yield contexts
    crawl.tls.tls_context.cache_clear()


@pytest.fixture
def server_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        authority.issue("localhost", more=[f"tree-{number}.example" for number in range(NUM_HOSTS)])
    )
    return context


def _answer(path: str) -> Pieces:
    body = b'{"oak": 1}' if path == "/api" else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    return iter([head + body])


def test_one_context_serves_all_hosts_and_apis_and_is_left_as_it_was(
    server_context: ssl.SSLContext, made: list[ssl.SSLContext]
):
    hosts = [f"tree-{number}.example" for number in range(NUM_HOSTS)]
    with serve_hostile(_answer, server_context) as server:
        settings = FetchSettings(
            contact="gardener@trees.example",
            scopes={"": Scope(())},
            delay_s=0,
            response_time_multiple=0,
            allow_hosts=(*hosts, "localhost", "127.0.0.1"),
            connect_to=dict.fromkeys(hosts, f"127.0.0.1:{server.port}"),
            site_opt_outs=False,
        )

        async def visit_all() -> list[str]:
            works = [HostWork(host, [Target(f"https://{host}/", "page", 0, "", "")]) for host in hosts]
            return [visit.row.fate async for visit in visit_lane(works, settings)]

        assert asyncio.run(visit_all()) + asyncio.run(visit_all()) == ["kept"] * 2 * NUM_HOSTS
        for _ in range(3):
            assert request_json(f"https://localhost:{server.port}/api", {}, settings) == {"oak": 1}
        with pytest.raises(FetchError, match="tls_certificate_wrong_host"):
            request_json(f"https://127.0.0.1:{server.port}/api", {}, settings)
        assert asyncio.run(visit_all()) == ["kept"] * NUM_HOSTS
    (context,) = made
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_api_whose_certificate_does_not_hold_is_asked_once(tmp_path: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Authority(tmp_path).issue("localhost", self_signed=True))
    settings = FetchSettings(contact="gardener@trees.example", delay_s=0, allow_hosts=("localhost",))
    with serve_hostile(_answer, context) as server, pytest.raises(FetchError) as caught:
        request_json(f"https://localhost:{server.port}/api", {}, settings)
    assert caught.value.reason == "tls_certificate_self_signed"
    assert (server.num_tls, server.paths) == (1, [])
