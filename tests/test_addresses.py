"""Addresses that must not be connected to, in all their disguises."""

import asyncio
import socket

import pytest

from crawl.addresses import AddressRefusedError, check_url, refusal, resolve_checked
from crawl.resolver import CheckedResolver
from crawl.urls import canonical_url

REFUSED = {
    "0.0.0.0": "this_network",
    "10.1.2.3": "private",
    "100.64.0.1": "shared_address_space",
    "100.100.100.200": "shared_address_space",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "cloud_metadata",
    "169.254.169.254": "link_local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "protocol_assignment",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "this_network",
    "::1": "loopback",
    "::ffff:127.0.0.1": "ipv4_mapped",
    "::ffff:8.8.8.8": "ipv4_mapped",
    "::ffff:0:127.0.0.1": "ipv4_translated",
    "::127.0.0.1": "ipv4_compatible",
    "64:ff9b::7f00:1": "nat64",
    "64:ff9b:1::a00:1": "nat64",
    "100::1": "reserved",
    "2001::1": "teredo",
    "2001:0:53aa:64c:0:fbff:f5ff:fffe": "teredo",
    "2001:10::1": "protocol_assignment",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:c0a8:101::1": "6to4",
    "2620:4f:8000::1": "as112",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link_local",
    "fe80::1%eth0": "link_local",
    "fec0::1": "private",
    "ff02::1": "multicast",
    "2600:1::5efe:7f00:1": "isatap",
    "2600:1::200:5efe:a00:1": "isatap",
    "not an address": "not_an_address",
    "0x7f.1": "not_an_address",
    "": "not_an_address",
}


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_addresses_inside_a_network_are_refused(address: str, reason: str):
    assert refusal(address) == reason


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1"],
)
def test_public_addresses_are_not_refused(address: str):
    assert refusal(address) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://①②⑦.⓪.⓪.①/",
        "http://[::ffff:169.254.169.254]/",
        "http://trees.example:22/",
        "http://trees.example:8080/",
    ],
)
def test_urls_that_name_a_refused_address_or_port_are_refused(url: str):
    canonical = canonical_url(url)
    assert canonical is not None
    with pytest.raises(AddressRefusedError):
        check_url(canonical, ())


def test_an_allowed_host_may_have_any_address_and_port():
    check_url("http://127.0.0.1:8080/", ("127.0.0.1",))
    check_url("http://[::1]:8080/", ("::1",))
    check_url("http://trees.example:8080/", ("trees.example",))
    assert resolve_checked("127.0.0.1", 8080, ("127.0.0.1",), {}) == [("127.0.0.1", 8080, socket.AF_INET)]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "trees.localhost"])
def test_localhost_is_loopback_without_asking_a_name_server(host: str):
    with pytest.raises(AddressRefusedError, match=r"127\.0\.0\.1 \(loopback\)"):
        resolve_checked(host, 80, (), {})
    allowed = host.removesuffix(".").lower()
    assert resolve_checked(host, 80, (allowed,), {}) == [("127.0.0.1", 80, socket.AF_INET)]


def test_connect_to_changes_where_the_connection_goes_and_no_more():
    connect_to = {"trees.example": "127.0.0.1:34567", "six.example": "[::1]:80"}
    with pytest.raises(AddressRefusedError, match="is at 127"):
        resolve_checked("trees.example", 80, (), connect_to)
    answers = resolve_checked("trees.example", 80, ("trees.example",), connect_to)
    assert answers == [("127.0.0.1", 34567, socket.AF_INET)]
    assert resolve_checked("six.example", 80, ("six.example",), connect_to) == [("::1", 80, socket.AF_INET6)]


def test_one_refused_answer_among_many_refuses_the_host(monkeypatch: pytest.MonkeyPatch):
    def answers(host: str, port: int, type: int = 0) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, type, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1 \(private\)"):
        resolve_checked("rebinding.example", 80, (), {})


def test_the_resolver_gives_the_checked_address_itself():
    resolver = CheckedResolver(("trees.example",), {"trees.example": "127.0.0.1:34567"})
    found = asyncio.run(resolver.resolve("trees.example", 80))
    assert [(answer["hostname"], answer["host"], answer["port"]) for answer in found] == [
        ("trees.example", "127.0.0.1", 34567)
    ]
    assert asyncio.run(resolver.resolve("trees.example", 80, socket.AF_INET6)) == []
