"""The hosts of a cluster as network namespaces, and their links, which can be cut.

Every worker has two ways out: `eth0` into the cluster, `eth1` to the site. Nothing leads further; the machine itself
has a link into the cluster, so that what runs there reaches the job server, the REST interface and the S3 server.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.layout import STORE_PORT, Cluster

CLUSTER, SITE = "eth0", "eth1"
"""A worker's links."""
_STORE_RULE, _FLINK_RULE = "10", "11"
"""Where the rules stand that cut a worker off Flink, behind the one for its own addresses. Source: ip-rule(8)."""
_HANDLES = Path("/run/netns")
"""Where the kernel's handles of namespaces are, by name. Source: ip-netns(8)."""
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of <sched.h>: Python has `os.setns` from 3.12 on."""


def create(cluster: Cluster) -> None:
    """Make all namespaces and links.

    Raises:
        ClusterError: the machine has an address of the cluster's network already.
    """
    _check_is_free(cluster)
    for host in cluster.hosts:
        _ip("netns", "add", cluster.namespace(host))
        _in(cluster, host, "link", "set", "lo", "up")
    _bridge(cluster, "head", cluster.address("head"))
    _bridge(cluster, "site", cluster.address("site"))
    head, link = cluster.namespace("head"), f"{cluster.name}0"
    _ip("link", "add", link, "type", "veth", "peer", "name", "machine", "netns", head)
    _in(cluster, "head", "link", "set", "machine", "master", "bridge", "up")
    _ip("addr", "add", f"{cluster.here}/25", "dev", link)
    _ip("link", "set", link, "up")
    for worker in cluster.workers:
        _plug(cluster, worker, CLUSTER, "head", cluster.address(worker))
        _plug(cluster, worker, SITE, "site", site_address(cluster, worker))


def site_address(cluster: Cluster, worker: str) -> str:
    """The address that a site sees a worker come from."""
    return f"{cluster.network}.{128 + int(cluster.address(worker).rpartition('.')[2])}"


def cut(cluster: Cluster, worker: str, links: tuple[str, ...] = (CLUSTER, SITE)) -> None:
    """Take a worker off the network: off the cluster alone with `(CLUSTER,)`."""
    for link in links:
        _in(cluster, _far_end(link), "link", "set", worker, "down")


def cut_flink(cluster: Cluster, worker: str) -> None:
    """Take a worker off the hosts of the cluster, but neither off the store nor off the site."""
    store = ("to", cluster.address("head"), "ipproto", "tcp", "dport", str(STORE_PORT))
    _in(cluster, worker, "rule", "add", "pref", _STORE_RULE, *store, "lookup", "main")
    _in(cluster, worker, "rule", "add", "pref", _FLINK_RULE, "to", f"{cluster.network}.0/25", "unreachable")


def mend(cluster: Cluster, worker: str) -> None:
    """Plug a worker in again, and let it find the other hosts."""
    for link in (CLUSTER, SITE):
        _in(cluster, _far_end(link), "link", "set", worker, "up")
    listed = subprocess.run(["ip", "-n", cluster.namespace(worker), "rule"], capture_output=True, text=True, check=True)
    for rule in (_STORE_RULE, _FLINK_RULE):
        if f"{rule}:" in listed.stdout.split():
            _in(cluster, worker, "rule", "del", "pref", rule)


def is_there(cluster: Cluster, host: str) -> bool:
    """Whether a host has a namespace."""
    return _HANDLES.joinpath(cluster.namespace(host)).exists()


@contextmanager
def entered(cluster: Cluster, host: str) -> Iterator[None]:
    """Give a host the sockets that this thread makes in the block, and threads begun in it, wherever they are used."""
    with (
        Path("/proc/thread-self/ns/net").open("rb") as here,
        _HANDLES.joinpath(cluster.namespace(host)).open("rb") as there,
    ):
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def namespaces(name: str) -> list[str]:
    """The namespaces of a cluster of that name that are there."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split("\n")
    found = [line.split()[0] for line in listed if line.strip()]
    return [each for each in found if re.fullmatch(rf"{name}-(head|site|w\d+)", each)]


def pids(namespace: str) -> list[int]:
    """The processes in a namespace."""
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def delete(name: str) -> None:
    """Kill what runs on the hosts of a cluster; take them and their links away."""
    for namespace in namespaces(name):
        _kill_all(namespace)
        _ip("netns", "del", namespace)
    subprocess.run(
        ["ip", "link", "del", f"{name}0"], capture_output=True, check=False
    )  # gone with its other end, or soon


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def _kill_all(namespace: str) -> None:
    end = time.monotonic() + 20
    while running := pids(namespace):
        if time.monotonic() > end:
            raise ClusterError(f"processes of {namespace} do not end: {running}")
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _check_is_free(cluster: Cluster) -> None:
    devices = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, check=True).stdout)
    taken = [str(address.get("local")) for device in devices for address in device["addr_info"]]
    if any(address.startswith(f"{cluster.network}.") for address in taken):
        raise ClusterError(f"this machine has an address in {cluster.network}.0/24: give the cluster another --name")


def _bridge(cluster: Cluster, host: str, address: str) -> None:
    _in(cluster, host, "link", "add", "bridge", "type", "bridge")
    _in(cluster, host, "addr", "add", f"{address}/25", "dev", "bridge")
    _in(cluster, host, "link", "set", "bridge", "up")


def _plug(cluster: Cluster, worker: str, link: str, far_host: str, address: str) -> None:
    far, near = cluster.namespace(far_host), cluster.namespace(worker)
    _ip("link", "add", worker, "netns", far, "type", "veth", "peer", "name", link, "netns", near)
    _in(cluster, far_host, "link", "set", worker, "master", "bridge", "up")
    _in(cluster, worker, "addr", "add", f"{address}/25", "dev", link)
    _in(cluster, worker, "link", "set", link, "up")


def _far_end(link: str) -> str:
    return {CLUSTER: "head", SITE: "site"}[link]


def _in(cluster: Cluster, host: str, *command: str) -> None:
    _ip("-n", cluster.namespace(host), *command)


def _ip(*command: str) -> None:
    done = subprocess.run(["ip", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"ip {' '.join(command)}: {done.stderr.strip() or f'status {done.returncode}'}")
