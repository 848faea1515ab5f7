"""One hop over HTTP, with servers that mean no good."""

import asyncio
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.api import request_bytes, request_json
from crawl.content_coding import BodyDecoder, CodingError
from crawl.http import Client, FetchError
from crawl.response import Response, charset_of, retry_delay_s
from crawl.settings import FetchSettings

SETTINGS = FetchSettings(
    contact="https://trees.example/crawler",
    allow_hosts=("127.0.0.1", "localhost", "trees.example"),
    delay_s=0,
    timeout_s=5,
    connect_timeout_s=2,
)


@contextmanager
def _raw_server(*answers: bytes, pause_s: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """Sends each answer, as it is, to one connection after another; gives its port and the requests it read."""
    requests: list[bytes] = []

    def answer_all() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                requests.append(connection.recv(65536))
                for start in range(0, len(answer), 10_000):
                    try:
                        connection.sendall(answer[start : start + 10_000])
                    except OSError:
                        break
                    time.sleep(pause_s)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_all, daemon=True)
        thread.start()
        yield listener.getsockname()[1], requests
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _fetch(url: str, settings: FetchSettings = SETTINGS, *, max_bytes: int = 100_000, cut: bool = False) -> Response:
    async def fetch() -> Response:
        async with Client(settings) as client:
            return await client.fetch(
                url, accept="text/html", max_bytes=max_bytes, is_body_wanted=lambda found: found.status == 200, cut=cut
            )

    return asyncio.run(fetch())


def _answer(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def _failure(answer: bytes, settings: FetchSettings = SETTINGS, max_bytes: int = 100_000) -> str:
    with _raw_server(answer) as (port, _), pytest.raises(FetchError) as caught:
        _fetch(f"http://127.0.0.1:{port}/", settings, max_bytes=max_bytes)
    assert caught.value.detail
    return caught.value.reason


def test_the_answer_is_kept_as_received():
    answer = b"HTTP/1.1 200 Fine Then\r\nX-One: a\r\nx-one:  b \r\nContent-Length: 3\r\n\r\noak"
    with _raw_server(answer) as (port, requests):
        response = _fetch(f"http://127.0.0.1:{port}/a%20b?q=%27|")
    assert (response.status, response.body) == (200, b"oak")
    assert response.head == b"HTTP/1.1 200 Fine Then\r\nX-One: a\r\nx-one: b\r\nContent-Length: 3\r\n\r\n"
    assert response.header_values("X-ONE") == ["a", "b"]
    request = requests[0].decode()
    assert request.startswith("GET /a%20b?q=%27| HTTP/1.1\r\n")
    assert "\r\nUser-Agent: seedbed/" in request
    assert " (+https://trees.example/crawler)\r\n" in request
    assert "\r\nAccept-Encoding: gzip, deflate, br\r\n" in request
    assert "cookie" not in request.lower()


def test_a_redirect_is_an_answer_and_not_followed():
    with _raw_server(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nhi") as (port, requests):
        response = _fetch(f"http://127.0.0.1:{port}/")
    assert (response.status, response.header("location"), response.body) == (302, "/x", None)
    assert len(requests) == 1


def test_connect_to_leaves_the_host_header_alone():
    with _raw_server(_answer(b"oak")) as (port, requests):
        settings = replace(SETTINGS, connect_to={"trees.example": f"127.0.0.1:{port}"})
        assert _fetch("http://trees.example/x", settings).body == b"oak"
    assert b"\r\nHost: trees.example\r\n" in requests[0]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with _raw_server(_answer(b"oak"), _answer(b'{"oak": 1}')) as (port, _):
        assert _fetch(f"http://127.0.0.1:{port}/").body == b"oak"
        assert request_json(f"http://127.0.0.1:{port}/", {}, SETTINGS) == {"oak": 1}


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://8.8.8.8:25/"])
def test_refused_addresses_are_not_connected_to(url: str):
    with pytest.raises(FetchError) as caught:
        _fetch(url, replace(SETTINGS, allow_hosts=()))
    assert caught.value.reason == "address_refused"
    with pytest.raises(FetchError, match="address_refused"):
        request_json(url, {}, replace(SETTINGS, allow_hosts=()))


def test_nobody_there_is_a_failed_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchError, match="connection_failed"):
        _fetch(f"http://127.0.0.1:{port}/")
    with pytest.raises(FetchError, match="connection_failed"):
        request_json(f"http://127.0.0.1:{port}/", {}, SETTINGS)


def test_a_name_nobody_knows_is_a_failed_lookup():
    with pytest.raises(FetchError, match="dns_failed"):
        _fetch("http://no-such-host.invalid/")


def test_a_server_without_tls_fails_as_such():
    with _raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _), pytest.raises(FetchError, match="tls_failed"):
        _fetch(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "connection_failed"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "too_many_header_bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", "too_many_header_bytes"),
        (b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 9_000 + b"\r\n") * 8 + b"\r\n", "too_many_header_bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\noak", "incomplete_body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\noak\r\n", "http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\noak", "incomplete_body"),
        (_answer(b"x" * 200_000), "too_many_bytes"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 200_000, "too_many_bytes"),
        (_answer(gzip.compress(bytes(10_000_000)), "Content-Encoding: gzip"), "too_many_bytes"),
        (_answer(brotli.compress(bytes(10_000_000)), "Content-Encoding: br"), "too_many_bytes"),
        (_answer(b"x", "Content-Encoding: br, br"), "bad_encoding"),
        (_answer(b"not gzip at all", "Content-Encoding: gzip"), "bad_encoding"),
        (_answer(gzip.compress(b"oak" * 999)[:-9], "Content-Encoding: gzip"), "bad_encoding"),
        (_answer(b"x", "Content-Encoding: zstd"), "bad_encoding"),
        (_answer(b"x", "Content-Encoding: gzip, gzip"), "bad_encoding"),
    ],
)
def test_answers_that_are_no_use_fail_with_a_reason(answer: bytes, reason: str):
    assert _failure(answer) == reason


def test_a_server_that_dribbles_is_not_waited_for():
    settings = replace(SETTINGS, timeout_s=0.5)
    with _raw_server(_answer(b"x" * 90_000), pause_s=0.2) as (port, _):
        began = time.monotonic()
        with pytest.raises(FetchError, match="timeout"):
            _fetch(f"http://127.0.0.1:{port}/", settings)
        assert time.monotonic() - began < 2


def test_a_body_may_be_cut_instead():
    for answer in (_answer(b"ab" * 90_000), _answer(gzip.compress(b"ab" * 90_000), "Content-Encoding: gzip")):
        with _raw_server(answer) as (port, _):
            assert _fetch(f"http://127.0.0.1:{port}/", max_bytes=70_001, cut=True).body == (b"ab" * 90_000)[:70_001]


def _raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 50), st.integers(-1, 1))
def test_every_coding_is_undone_in_pieces_of_any_size(data: bytes, size: int, slack: int):
    codings = {
        "": data,
        "gzip": gzip.compress(data[:100]) + gzip.compress(data[100:]),
        "deflate": zlib.compress(data),
        "br": brotli.compress(data),
    }
    for coding, coded in codings.items():
        decoder = BodyDecoder(coding, len(data) + slack)
        decoded = b"".join(decoder.decode(coded[start : start + size]) for start in range(0, len(coded), size))
        assert decoded == data[: len(data) + slack]
        assert decoder.is_over is (slack < 0)
        if slack >= 0:
            decoder.finish()


def test_deflate_without_its_header_and_bytes_behind_the_end_are_forgiven():
    decoder = BodyDecoder("deflate", 1_000)
    assert decoder.decode(_raw_deflate(b"oak" * 99)) == b"oak" * 99
    decoder.finish()
    decoder = BodyDecoder("gzip", 1_000)
    assert decoder.decode(gzip.compress(b"oak") + b"\0\0junk") == b"oak"
    decoder.finish()


def test_an_unknown_coding_is_refused_at_once():
    with pytest.raises(CodingError, match="zstd"):
        BodyDecoder("zstd", 10)


def test_json_is_asked_again_as_long_as_the_server_says():
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    lagged = _answer(b'{"error": {"code": "maxlag", "info": "5 seconds lagged"}}')
    settings = replace(SETTINGS, max_attempts=3)
    with _raw_server(busy, lagged, _answer(b'{"oak": [1]}')) as (port, requests):
        assert request_json(f"http://127.0.0.1:{port}/api", {"a": "b c"}, settings) == {"oak": [1]}
    assert [request.split(b" ")[1] for request in requests] == [b"/api?a=b+c"] * 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_to_be_left_alone_is_not_asked_for_anything_else_meanwhile(status: int):
    busy = f"HTTP/1.1 {status} Busy\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n".encode()
    settings = replace(SETTINGS, max_delay_s=0.5)
    with _raw_server(busy, _answer(b"{}")) as (port, requests):
        began = time.monotonic()
        for path in ("a", "a", "b"):
            with pytest.raises(FetchError, match=r"retry_after_too_long: .* asks for [12] s; .* accepted is 0\.5 s"):
                request_json(f"http://127.0.0.1:{port}/{path}", {}, settings)
            assert len(requests) == 1
        assert request_json(f"http://127.0.0.1:{port}/c", {}, SETTINGS) == {}
        assert time.monotonic() - began >= 2


def test_json_is_asked_again_when_the_connection_breaks():
    with _raw_server(b"", _answer(b'{"oak": [1]}')) as (port, requests):
        assert request_json(f"http://127.0.0.1:{port}/", {}, SETTINGS) == {"oak": [1]}
    assert len(requests) == 2


def test_json_that_comes_too_late_is_asked_again_and_fails():
    settings = replace(SETTINGS, timeout_s=0.1, max_attempts=2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(FetchError) as caught:
        request_json(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, settings)
    assert caught.value.reason == "timeout"


def test_json_that_dribbles_in_is_not_waited_for():
    settings = replace(SETTINGS, timeout_s=0.5, max_attempts=1)
    with _raw_server(_answer(b"x" * 90_000), pause_s=0.2) as (port, _):
        began = time.monotonic()
        with pytest.raises(FetchError, match="timeout"):
            request_json(f"http://127.0.0.1:{port}/", {}, settings)
        assert time.monotonic() - began < 2


def test_bytes_are_asked_for_with_all_values_and_come_decoded_and_bounded():
    coded = _answer(gzip.compress(b"oak" * 999), "Content-Encoding: gzip")
    params = {"filter": ["=status:200", "~mime:a|b"], "url": "x y"}
    with _raw_server(coded, coded) as (port, requests):
        url = f"http://127.0.0.1:{port}/"
        assert request_bytes(url, params, {200}, SETTINGS) == (200, b"oak" * 999)
        with pytest.raises(FetchError, match="too_many_bytes"):
            request_bytes(url, {}, {200}, SETTINGS, max_bytes=2_000)
    assert requests[0].split(b" ")[1] == b"/?filter=%3Dstatus%3A200&filter=~mime%3Aa%7Cb&url=x+y"


def test_a_status_that_is_an_answer_comes_with_its_body():
    with _raw_server(b"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\noak") as (port, _):
        assert request_bytes(f"http://127.0.0.1:{port}/", {}, {200, 404}, SETTINGS) == (404, b"oak")


def test_an_api_at_a_refused_address_is_not_asked():
    with _raw_server() as (port, requests), pytest.raises(FetchError) as caught:
        request_json(f"http://127.0.0.1:{port}/", {}, replace(SETTINGS, allow_hosts=()))
    assert caught.value.reason == "address_refused"
    assert requests == []


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b""] * 3, "connection_failed"),
        ([b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"], "http_404"),
        ([b"HTTP/1.1 302 No\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"], "http_302"),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"] * 3, "http_503"),
        ([b"HTTP/1.1 429 No\r\nRetry-After: 9999\r\nContent-Length: 0\r\n\r\n"], "retry_after_too_long"),
        ([_answer(b'{"error": {"code": "maxlag"}}')] * 3, "api_overloaded"),
        ([_answer(b"<html>")], "bad_json"),
        ([_answer(b"[1]")], "bad_json"),
    ],
)
def test_json_that_does_not_come_fails_with_a_reason(answers: list[bytes], reason: str):
    with _raw_server(*answers) as (port, requests), pytest.raises(FetchError) as caught:
        request_json(f"http://127.0.0.1:{port}/", {}, SETTINGS)
    assert caught.value.reason == reason
    assert len(requests) == len(answers)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text/html; charset=utf-8", "utf-8"),
        ("text/html;a=b; CHARSET='x' ", "x"),
        ("text/html", None),
        ("text/html; charset=", None),
    ],
)
def test_the_charset_is_a_parameter_of_the_content_type(header: str, expected: str | None):
    assert charset_of(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, 2.0),
        ("", 2.0),
        ("1", 2.0),
        ("30", 30.0),
        ("-1", 2.0),
        ("²", 2.0),
        ("30.5", 30.5),
        ("1.5.5", 2.0),
        ("9" * 12, 1e9),
        ("9" * 400, 1e9),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 2.0),
        ("soon", 2.0),
        ("Sun, 99 Nov 1994 08:50:37 GMT", 2.0),
        ("Sun, 06 Nov 99999999999999 08:50:37 GMT", 2.0),
        ("Sun, 06 Nov 1994 08:50:37 +99999999999999999999", 2.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: float):
    now = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples
    assert retry_delay_s(header, 2.0, now) == expected


@pytest.mark.parametrize("contact", ["", " ", "a\r\nX: y", "bäume@trees.example"])
def test_a_contact_that_fits_no_header_is_refused(contact: str):
    with pytest.raises(ValueError, match="give an e-mail address or URL"):
        FetchSettings(contact=contact)
