"""A robots.txt that has moved to a host of another lane is had all the same, and no host is asked by two at a time."""

import itertools
import threading
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from crawl.host import Surroundings
from pipelines import crawl, lanes
from pipelines.build import build
from pipelines.frontier import slot_of
from pipelines.load_recipe import check_recipe
from pipelines.receipts import finish_part, receipt_names
from pipelines.seeds import SEEDS, find_seeds
from tests.builds import list_job, table_rows
from tests.loopback import NOT_FOUND, Answer, serve
from tests.simulated_web import Host, SimulatedWeb

WORKERS = 2
DELAY_S = 0.05
NUM_PAGES = 8


class _Asked(NamedTuple):
    begin: float
    end: float
    path: str


def _hosts(lane: int, count: int) -> list[str]:
    names = (f"h{number}.example" for number in itertools.count())
    return list(itertools.islice((name for name in names if slot_of(name) % WORKERS == lane), count))


HOME, ELSEWHERE = _hosts(0, 3), _hosts(1, 3)
MOVED = dict(zip(HOME[:2] + ELSEWHERE[:1], ELSEWHERE[:1] + ELSEWHERE[1:2] + HOME[2:], strict=True))
"""Where the robots.txt of a host has moved to: over two hops the first one's, and one in the other direction."""


def test_a_robots_txt_in_another_lane_is_asked_for_while_nobody_else_asks_there(tmp_path: Path):
    log: defaultdict[str, list[_Asked]] = defaultdict(list)
    lock = threading.Lock()

    def answer(host: str, path: str) -> Answer:
        begin = time.monotonic()
        time.sleep(0.02)
        with lock:
            log[host].append(_Asked(begin, time.monotonic(), path))
        if path == "/robots.txt" and host in MOVED:
            return Answer(301, {"Location": f"http://{MOVED[host]}/robots.txt"}, b"")
        if path == "/robots.txt":
            return Answer(200, {"Content-Type": "text/plain"}, f"User-agent: *\nDisallow: /no/{host}".encode())
        number = path.strip("/") or "0"
        if not number.isdigit():
            return NOT_FOUND
        links = f'<a href="/{int(number) + 1}">on</a>' if int(number) + 1 < NUM_PAGES else ""
        forbidden = "".join(f'<a href="/no/{each}">no</a>' for each in (*HOME, *ELSEWHERE)) if number == "0" else ""
        return Answer(200, {"Content-Type": "text/html"}, f"<p>{host} {path}</p>{links}{forbidden}".encode())

    hosts = [*HOME, *ELSEWHERE]
    with serve(answer) as site:
        _crawl(tmp_path, site.port, hosts)
    for host, asked in log.items():
        asked.sort()
        for before, after in itertools.pairwise(asked):
            assert after.begin - before.end >= DELAY_S, f"{host}: {before}, {after}"
    rows = {row["url"]: row for row in table_rows(tmp_path, "crawl", "ledger-")}
    for host in hosts:
        assert all(rows[f"http://{host}/{number or ''}"]["fate"] == "kept" for number in range(NUM_PAGES)), host
        ruling = MOVED.get(MOVED.get(host, host), MOVED.get(host, host))
        refused = [each for each in hosts if rows[f"http://{host}/no/{each}"]["reason"] == "robots_disallowed"]
        assert refused == [ruling]


def test_of_many_hosts_whose_robots_txt_moved_some_stay_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moved = {host: Host(host, robots_at=ELSEWHERE[0], response_s=0) for host in HOME}
    web = SimulatedWeb({**moved, ELSEWHERE[0]: Host(ELSEWHERE[0], response_s=0)})
    monkeypatch.setattr(lanes, "Surroundings", partial(Surroundings, fetcher=web))
    monkeypatch.setattr(lanes, "MAX_MOVED_URLS", 3)
    job = list_job(tmp_path, [f"http://{host}/{number}.png" for host in HOME for number in range(2)], WORKERS)
    finish_part(job.folder, f"{SEEDS}-list", partial(find_seeds, job, "list"))
    for number, asked in ((1, 4), (2, 2)):
        batches = enumerate(crawl._batches(job))
        runs = [run for batch in batches for lane, run in crawl._split(batch, job, number) if lane == 0]
        lanes.fetch_lane((0, runs), job, number)
        totals = crawl.round_totals(job, number)
        assert (totals.found, totals.due, totals.asked) == (6, 6 if number == 1 else 2, asked)
    pictures = [(request.host, request.path) for request in web.log if request.path != "/robots.txt"]
    assert sorted(pictures) == sorted((host, f"/{number}.png") for host in HOME for number in range(2))
    segments = [name for name in receipt_names(job.folder) if name[0].isdigit()]
    assert segments == ["001-00-00000", "002-00-00000"]


def _crawl(out: Path, port: int, hosts: list[str]) -> None:
    section: dict[str, Any] = {
        "sources": {"grove": {"source": "site", "seeds": [f"http://{host}/" for host in hosts]}},
        "allow_hosts": hosts,
        "connect_to": dict.fromkeys(hosts, f"127.0.0.1:{port}"),
        "delay_s": DELAY_S,
        "response_time_multiple": 0,
        "site_opt_outs": False,
    }
    data = {"name": "grove", "contact": "gardener@example.org", "crawl": section}
    build(check_recipe(data, "grove.yaml"), out, ("crawl",), WORKERS, Console(quiet=True))
