"""`seedbed doctor` says what is well, what is wrong, and what would do."""

import importlib.metadata
import json
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.builds import seedbed

LOCAL: dict[str, Any] = {"allow_hosts": ["localhost"]}


def _recipe(
    folder: Path, seed: str = "http://localhost:8080/", contact: str = "gardener@kew.org", **crawl: Any
) -> Path:
    sources = {"walk": {"source": "site", "seeds": [seed]}}
    recipe = {"name": "walk", "contact": contact, "crawl": {"sources": sources, **crawl}, "images": {"size": 16}}
    path = folder / "walk.yaml"
    path.write_text(json.dumps(recipe), "utf-8")
    return path


def _doctor(folder: Path, *arguments: str | Path) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and what was found, by what it is about."""
    done = seedbed("doctor", *arguments, "--out", folder, "--workers", "1", "--json")
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout):
        found.setdefault(each["about"], []).append(each)
    return done.returncode, found


def _wrong(folder: Path, *arguments: str | Path) -> list[str]:
    """What is wrong; for each thing something must be told that would do."""
    status, found = _doctor(folder, *arguments)
    wrong = [each for some in found.values() for each in some if not each["is_ok"]]
    assert status == (1 if wrong else 0)
    assert all(each["advice"] for each in wrong)
    return [f"{each['about']}: {each['said']}" for each in wrong]


def test_where_all_is_well_each_thing_is_named(tmp_path: Path):
    status, found = _doctor(tmp_path / "out", _recipe(tmp_path, **LOCAL))
    assert status == 0
    assert all(each["advice"] == "" for some in found.values() for each in some)
    assert set(found) - {"proxy"} == {
        "recipe", "contact", "DNS", "disk", "clock", "space", "inodes", "open files", "processes", "memory", "TLS",
        "packages",
    }  # fmt: skip
    assert [each["said"] for each in found["DNS"]] == ["localhost is at 127.0.0.1"]
    assert f"apache-beam {importlib.metadata.version('apache-beam')}" in found["packages"][0]["said"]
    assert list(tmp_path.iterdir()) == [tmp_path / "walk.yaml"]


def test_nothing_is_wrong_with_the_demo_whose_site_stands_on_this_machine(tmp_path: Path):
    status, found = _doctor(tmp_path / "out", "demo")
    assert status == 0
    assert [each["said"] for each in found["DNS"]] == ["arboretum.example is at 127.0.0.1"]
    assert [each["said"] for each in found["contact"]] == ["https://arboretum.example/about stands in the user agent"]


def test_the_same_is_told_line_by_line(tmp_path: Path):
    recipe = _recipe(tmp_path, contact="trees@example.org", **LOCAL)
    done = seedbed("doctor", recipe, "--out", tmp_path, "--workers", "1")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"ok    recipe      {tmp_path}/walk.yaml: crawl, images",
        "wrong contact     trees@example.org: nobody is reached at example.org",
    ]
    assert lines[2].strip() == "give a web page of yours (https://…) or an e-mail address that you read"


@pytest.mark.parametrize(
    ("seed", "crawl", "said"),
    [
        ("http://localhost/", {}, "localhost is at 127.0.0.1 (loopback); only hosts in allow_hosts may be"),
        ("http://10.1.2.3/", {}, "10.1.2.3 is at 10.1.2.3 (private); only hosts in allow_hosts may be"),
        (
            "http://a.localhost:8080/",
            {},
            "port 8080 of a.localhost: hosts not in allow_hosts are asked on 80, 443 only",
        ),
        ("http://a.localhost:8080/", {"allow_ports": [8080]}, "a.localhost is at 127.0.0.1 (loopback)"),
        ("http://trees.invalid/", {}, "trees.invalid has no address: "),
        (f"http://{'a' * 64}.example/", {}, f"'{'a' * 64}.example' has 72 characters, 64 of them in one label"),
    ],
)
def test_hosts_that_will_not_be_asked_are_told(seed: str, crawl: dict[str, Any], said: str, tmp_path: Path):
    (wrong,) = _wrong(tmp_path, _recipe(tmp_path, seed, **crawl))
    assert wrong.startswith(f"DNS: {said}")


@pytest.mark.parametrize(
    ("contact", "is_ok"),
    [
        ("https://www.kew.org/crawler", True),
        ("gardener+crawl@kew.org", True),
        ("https://example.org/crawler", False),
        ("gardener@trees.example", False),
        ("gardener@localhost", False),
        ("@kew.org", False),
        ("a@b@kew.org", False),
        ("https://", False),
    ],
)
def test_a_contact_address_reaches_somebody(contact: str, is_ok: bool, tmp_path: Path):
    wrong = _wrong(tmp_path, _recipe(tmp_path, contact=contact, **LOCAL))
    assert [each.partition(":")[0] for each in wrong] == ([] if is_ok else ["contact"])


def test_a_recipe_that_cannot_be_used_is_told_and_the_machine_looked_at(tmp_path: Path):
    status, found = _doctor(tmp_path, _recipe(tmp_path, contact="nobody", num_hosts=0))
    assert status == 1
    assert len(found["recipe"]) == 2
    assert "packages" in found


def test_without_a_recipe_the_machine_and_a_well_known_name_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host != "example.com":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    status, found = _doctor(tmp_path)
    assert status == 0
    assert [each["said"] for each in found["DNS"]] == ["example.com is at 93.184.215.14"]


def test_a_name_server_that_knows_every_name_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    answer = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [answer])
    assert _wrong(tmp_path) == ["DNS: no-such-host.invalid has an address"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("oak")
    assert _wrong(tmp_path / "file", _recipe(tmp_path, **LOCAL)) == [
        f"disk: {tmp_path}/file cannot be written: Not a directory"
    ]


def test_too_few_open_files_are_told_with_the_number_needed(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        status, found = _doctor(tmp_path, _recipe(tmp_path, num_hosts=500, **LOCAL))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (limit,) = found["open files"]
    assert (status, limit["said"]) == (1, "256 allowed (ulimit -n), 564 needed")
    assert limit["advice"] == "ulimit -n 564, or lower crawl.num_hosts"


def test_files_larger_than_the_disk_are_told(tmp_path: Path):
    sizes = "images.max_part_bytes=1000000000000000"
    (wrong,) = _wrong(tmp_path, _recipe(tmp_path, **LOCAL), "--set", sizes)
    assert wrong.startswith("space: ")
    assert wrong.endswith("files in the making alone need 2,000,000.0 GB")


def test_packages_that_are_missing_or_too_old_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    version = importlib.metadata.version

    def other_version(name: str) -> str:
        if name == "lxml":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "aiohttp" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", other_version)
    assert _wrong(tmp_path, _recipe(tmp_path, **LOCAL)) == [
        "packages: aiohttp is 1.0, needed is >=3.11; lxml is not installed"
    ]


def test_a_clock_that_is_before_its_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 86_400.0)
    wrong = _wrong(tmp_path, _recipe(tmp_path, **LOCAL))
    assert "clock: 1970-01-02 00:00:00 UTC" in wrong
    assert any("the disk's clock is" in each for each in wrong)


def test_a_proxy_that_is_not_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    status, found = _doctor(tmp_path, _recipe(tmp_path, **LOCAL))
    assert status == 0
    assert "HTTPS_PROXY" in found["proxy"][0]["said"]
