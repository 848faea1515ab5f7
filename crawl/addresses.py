"""Which network addresses a crawl may connect to, so that no page can send it into a private network.

A name is resolved once, every answer is checked, and the connection goes to an address that was checked: a name server
that answers differently the second time (DNS rebinding) gains nothing. That holds for pages, pictures and APIs alike.
"""

import socket
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from crawl.urls import host_of, port_of

OPEN_PORTS = frozenset({80, 443})
"""Ports asked on hosts that nobody named in `allow_hosts`, unless `allow_ports` says otherwise."""

_Network = IPv4Network | IPv6Network

_REFUSED: tuple[tuple[_Network, str], ...] = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared_address_space"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud_metadata"),  # Azure's, on a public address
        ("169.254.0.0/16", "link_local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol_assignment"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "as112"),
        ("192.52.193.0/24", "multicast_tunnel"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "as112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "this_network"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "ipv4_mapped"),
        ("::ffff:0:0:0/96", "ipv4_translated"),
        ("::/96", "ipv4_compatible"),
        ("64:ff9b::/96", "nat64"),
        ("64:ff9b:1::/48", "nat64"),
        ("2001::/32", "teredo"),
        ("2001::/23", "protocol_assignment"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "as112"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
"""Source: IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates)."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is given out so far. Source: RFC 4291, section 2.4, and IANA's address space registry."""


_MAX_NAME, _MAX_LABEL = 253, 63
"""Characters of a host name and of each of its labels. Source: RFC 1035, section 2.3.4, less the root's dot."""


class AddressRefusedError(Exception):
    """A connection we do not make; the message says to what and why."""


class HostNameError(Exception):
    """A host whose name no name server can know; the message says why."""


def refusal(address: str) -> str | None:
    """Return why an IP address must not be connected to, or None where it is an ordinary public one.

    >>> refusal("169.254.169.254"), refusal("::ffff:8.8.8.8"), refusal("8.8.8.8")
    ('link_local', 'ipv4_mapped', None)
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "not_an_address"
    for network, reason in _REFUSED:
        if parsed.version == network.version and parsed in network:
            return reason
    return _refused_v6(parsed) if isinstance(parsed, IPv6Address) else None


def _refused_v6(address: IPv6Address) -> str | None:
    """Refuse what no registry entry covers: unassigned space, and ISATAP interface identifiers (RFC 5214, 6.1)."""
    if address not in _GLOBAL_UNICAST:
        return "reserved"
    interface_id = int(address) & (2**64 - 1)
    return "isatap" if interface_id >> 32 in (0x5EFE, 0x02005EFE) else None


def check_url(url: str, allow_hosts: Collection[str], allow_ports: Collection[int] = OPEN_PORTS) -> None:
    """Check what can be told from a canonical URL alone: its port, and its host where that is an address.

    Raises:
        AddressRefusedError: the URL names a port that is not in `allow_ports`, or a refused address, and its host is
            not in `allow_hosts`.
    """
    host, port = host_of(url), port_of(url)
    if host in allow_hosts:
        return
    if port not in allow_ports:
        allowed = ", ".join(map(str, sorted(allow_ports)))
        raise AddressRefusedError(f"port {port} of {host}: hosts not in allow_hosts are asked on {allowed} only")
    if _is_address(host):
        _check_address(host, host, allow_hosts)


def resolve_checked(
    host: str, port: int, allow_hosts: Collection[str], connect_to: Mapping[str, str]
) -> list[tuple[str, int, int]]:
    """Return where to connect for a host: (address, port, address family), in the order of preference.

    Args:
        host: host name, or an IP address.
        port: port the URL asks for.
        allow_hosts: hosts that may have any address.
        connect_to: host to "address:port", as `curl --connect-to`: the connection goes there instead.

    Raises:
        AddressRefusedError: one of the addresses is refused and the host is not in `allow_hosts`.
        HostNameError: the name breaks the rules of names.
        OSError: the name does not resolve.
    """
    name = host.removesuffix(".").lower()
    destination, destination_port = _destination(name, port, connect_to)
    _check_name(destination)
    answers = []
    for family, _, _, _, address in socket.getaddrinfo(destination, destination_port, type=socket.SOCK_STREAM):
        numeric, answer_port = str(address[0]), int(address[1])
        _check_address(numeric, name, allow_hosts)
        answers.append((numeric, answer_port, int(family)))
    return answers


def _destination(host: str, port: int, connect_to: Mapping[str, str]) -> tuple[str, int]:
    if host in connect_to:
        address, _, other_port = connect_to[host].rpartition(":")
        return address.removeprefix("[").removesuffix("]"), int(other_port)
    # RFC 6761, section 6.3: these names are loopback, and no name server is to be asked.
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1", port
    return host, port


def _check_name(host: str) -> None:
    """Pass names that can be looked up; Python would fail on others in ways of its own.

    Raises:
        HostNameError: the name is too long, or a label of it is, or is empty.
    """
    labels = host.removesuffix(".").split(".")
    longest = max(map(len, labels))
    if len(host) > _MAX_NAME or longest > _MAX_LABEL or not all(labels):
        told = f"{len(host)} characters, {longest} of them in one label; at most 253 and 63 may be, and at least 1"
        raise HostNameError(f"{host[:80]!r} has {told}")


def _check_address(address: str, host: str, allow_hosts: Collection[str]) -> None:
    reason = refusal(address)
    if reason and host not in allow_hosts:
        raise AddressRefusedError(f"{host} is at {address} ({reason}); only hosts in allow_hosts may be")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
