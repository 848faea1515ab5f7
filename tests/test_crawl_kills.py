"""Killed at any moment, a crawl ends as one that was left alone: every URL once, next to nothing asked twice."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.object_path import AnyPath, files_below
from tests.builds import kill_all, manifest_of, seedbed, start_seedbed, table_rows
from tests.loopback import NOT_FOUND, SITE_FILES, Answer, Site, serve
from tests.object_store import slow_in_store

HOSTS = tuple(f"h{number}.example" for number in range(8))
NUM_PAGES = 50
RECORDS_PER_SEGMENT = 20
WORKERS = 2
KILLS_A_CRAWL = 5
RECIPE = f"""
name: grove
contact: gardener@example.org
crawl:
  sources: {{grove: {{source: site, seeds: [{", ".join(f'"http://{host}/"' for host in HOSTS)}]}}}}
  allow_hosts: [{", ".join(HOSTS)}]
  delay_s: 0
  response_time_multiple: 0
  records_per_segment: {RECORDS_PER_SEGMENT}
"""


def answer(host: str, path: str) -> Answer:
    """Each page links to two more, and to one that is forbidden; one in ten is missing, one has moved."""
    time.sleep(0.01)
    if path == "/robots.txt":
        return Answer(200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /no/")
    number = path.strip("/") or "0"
    if not number.isdigit() or int(number) >= NUM_PAGES or int(number) % 10 == 7:
        return NOT_FOUND
    if int(number) % 10 == 8:
        return Answer(301, {"Location": f"/{int(number) + 1}"}, b"")
    links = "".join(f'<a href="/{found}">a</a>' for found in (2 * int(number) + 1, 2 * int(number) + 2, f"no/{number}"))
    body = f"<p>{host} {path}</p>{links}"
    return Answer(200, {"Content-Type": "text/html"}, body.encode())


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(answer) as found:
        yield found


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "grove.yaml"
    path.write_text(RECIPE)
    return path


def crawl_command(site: Site, recipe: Path, out: AnyPath) -> list[str]:
    overrides = ["--set", site.connect_to(*HOSTS)]
    return ["crawl", str(recipe), "--out", str(out), "--workers", str(WORKERS), *overrides]


def ledger(out: AnyPath) -> list[tuple[Any, ...]]:
    """What stands for each URL, without how often and when it was asked for."""
    rows = table_rows(out, "crawl", "ledger-")
    names = ("url", "final_url", "kind", "fate", "reason", "status", "sha256", "robots_rule", "source")
    return sorted(tuple(row[name] for name in names) for row in rows)


@slow_in_store
def test_failures_that_may_pass_are_due_again_when_a_killed_run_goes_on(recipe: Path, place: AnyPath):
    is_unwell = True

    def unwell(host: str, path: str) -> Answer:
        if is_unwell and host == HOSTS[0] and path in ("/", "/1"):
            return Answer(503, {"Content-Type": "text/plain"}, b"later")
        return answer(host, path)

    with serve(unwell) as ill:
        command = crawl_command(ill, recipe, place)
        command += ["--set", "crawl.max_attempts=1"]
        process = start_seedbed(*command, "--set", "crawl.records_per_segment=1")
        while (HOSTS[0], "/") not in ill.requests or len(ill.requests) < 60:
            time.sleep(0.01)
        time.sleep(0.5)
        kill_all(process)
        num_asked = ill.requests.count((HOSTS[0], "/"))
        is_unwell = False
        assert seedbed(*command).returncode == 0
        assert ill.requests.count((HOSTS[0], "/")) == num_asked + 1
    found = ledger(place)
    assert {row[4] for row in found} == {"", "http_404", "redirected", "robots_disallowed"}
    assert len({row[0] for row in found}) == len(found) == manifest_of(place, "crawl").counts.records_in


@slow_in_store
@pytest.mark.parametrize("num_crawls", [pytest.param(1, id="5"), pytest.param(10, id="50", marks=pytest.mark.slow)])
def test_a_crawl_killed_at_any_moment_has_every_url_once(
    site: Site, recipe: Path, tmp_path: Path, place: AnyPath, num_crawls: int
):
    assert seedbed(*crawl_command(site, recipe, tmp_path / "whole")).returncode == 0
    undisturbed = ledger(tmp_path / "whole")
    assert len(undisturbed) > 300
    moments = random.Random(num_crawls)
    for number in range(num_crawls):
        site.requests.clear()
        killed = 0
        out = place / str(number)
        command = crawl_command(site, recipe, out)
        for attempt in range(KILLS_A_CRAWL):
            process = start_seedbed(*command)
            if attempt == 0:
                time.sleep(moments.uniform(0, 3))  # while it starts, perhaps
            else:
                _wait_for_requests(site, len(site.requests) + moments.randrange(100), process)
            killed += process.poll() is None
            kill_all(process)
        last = seedbed(*command)
        assert last.returncode == 0, last.stderr
        assert ledger(out) == undisturbed
        counts = manifest_of(out, "crawl").counts
        assert counts.is_balanced()
        assert counts.records_in == len(undisturbed)
        assert seedbed("verify", str(out), "--deep").returncode == 0
        assert not [name for name in files_below(out / "crawl") if name.endswith(".tmp") or "_work" in name]
        asked = Counter(request for request in site.requests if request[1] not in SITE_FILES)
        assert killed >= KILLS_A_CRAWL - 1, "most kills came in time"
        # What a lane had not committed, and what its hosts were just saying.
        assert sum(asked.values()) - len(asked) <= killed * (WORKERS * RECORDS_PER_SEGMENT + len(HOSTS))


def _wait_for_requests(site: Site, count: int, process: Any) -> None:
    while len(site.requests) < count and process.poll() is None:
        time.sleep(0.005)
