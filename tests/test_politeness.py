"""What hosts were promised, checked by their own log, in virtual time: no gap is ever shorter, whatever happens."""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from crawl.gates import Pause
from crawl.host import HostWork, Surroundings
from crawl.lane import visit_lane
from crawl.records import Target, Visit
from crawl.settings import FetchSettings, Scope
from pipelines.fetching import fetch_settings
from tests import virtual_time
from tests.builds import list_job
from tests.simulated_web import Host, Request, SimulatedWeb, many_hosts

SETTINGS = FetchSettings(
    contact="gardener@trees.example",
    scopes={"": Scope(None)},
    delay_s=1.0,
    response_time_multiple=2.0,
    max_delay_s=60.0,
    round_time_s=10**9,
    num_hosts=10_000,
    connections_per_address=1,
)
ROUNDING = 1e-6


def _targets(host: str, count: int) -> list[Target]:
    names = [f"http://{host}/{number}.png" for number in range(count)] + [f"http://{host}/no/{host}"]
    return [Target(url, "image", 0, "", "") for url in names]


def _broken_promises(web: SimulatedWeb, settings: FetchSettings) -> list[str]:
    """Each gap between two requests to a host that is shorter than it should be, and each overlap."""
    by_host: defaultdict[str, list[Request]] = defaultdict(list)
    for request in web.log:
        by_host[request.host].append(request)
    found = []
    for name, requests in by_host.items():
        requests.sort(key=attrgetter("begin"))
        crawl_delay_s = 0.0
        for before, after in itertools.pairwise(requests):
            if before.path == "/robots.txt" and before.status == 200:
                crawl_delay_s = web.hosts[name].crawl_delay_s
            response_s = settings.response_time_multiple * (before.end - before.begin)
            promised = max(settings.delay_s, crawl_delay_s, min(response_s, settings.max_delay_s), before.retry_after_s)
            if after.begin < before.end + promised - ROUNDING:
                found.append(
                    f"{name}: {promised:g} s promised, {after.begin - before.end:g} s between {before} and {after}"
                )
    return found


def _most_at_once(requests: Iterable[Request], web: SimulatedWeb) -> int:
    """The most requests under way at one address at one time."""
    changes: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    for request in requests:
        address = web.hosts[request.host].address
        changes[address] += [(request.begin, 1), (request.end, -1)]
    most = 0
    for times in changes.values():
        under_way = 0
        for _, change in sorted(times):
            under_way += change
            most = max(most, under_way)
    return most


async def _crawl(web: SimulatedWeb, num_urls: int, settings: FetchSettings, stops: Iterable[float]) -> list[Visit]:
    """Visits everything, broken off each time after so many seconds and begun again; a crash loses the last ten."""
    known: set[str] = set()
    pauses: dict[str, Pause] = {}
    visits: list[Visit] = []
    for number, stop_s in enumerate((*stops, float("inf"))):
        work = (
            HostWork(host, [t for t in _targets(host, num_urls) if t.url not in known], known) for host in web.hosts
        )
        lane = visit_lane(work, settings, Surroundings(web, pauses, is_asked_before=number > 0))
        try:
            async with asyncio.timeout(None if stop_s == float("inf") else stop_s):
                async for visit in lane:
                    visits.append(visit)
        except TimeoutError:
            del visits[-10:]
        finally:
            await lane.aclose()
        known = {visit.row.url for visit in visits}
    return visits


def test_a_robots_txt_that_moved_to_a_host_just_visited_waits_for_its_pause(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("crawl.gates.wall_clock", lambda: asyncio.get_running_loop().time())
    hosts = {f"h{number}.example": Host("10.0.0.1", robots_at="a.example") for number in range(5)}
    web = SimulatedWeb({"a.example": Host("10.0.0.1", crawl_delay_s=7)} | hosts)
    for num_hosts in (1, 10):
        virtual_time.run(_crawl(web, 3, replace(SETTINGS, num_hosts=num_hosts), []))
        assert _broken_promises(web, SETTINGS) == []
        assert sum(request.host == "a.example" for request in web.log) == 3 + 3 + len(hosts)  # its own files first
        web.log.clear()


@pytest.mark.parametrize(
    ("num_hosts", "num_urls"), [(100, 50), pytest.param(1_000, 100, marks=pytest.mark.slow)], ids=["100", "1000"]
)
def test_no_gap_is_shorter_than_promised_over_restarts(num_hosts: int, num_urls: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("crawl.gates.wall_clock", lambda: asyncio.get_running_loop().time())
    web = SimulatedWeb(many_hosts(num_hosts, seed=1))
    chance = random.Random(2)
    visits = virtual_time.run(_crawl(web, num_urls, SETTINGS, [chance.uniform(1, 60) for _ in range(5)]))
    assert _broken_promises(web, SETTINGS) == []
    assert _most_at_once(web.log, web) == 1
    forbidden = [request for request in web.log if request.path.startswith("/no/")]
    assert {web.hosts[request.host].robots_status for request in forbidden} <= {404}
    assert len(web.log) >= 0.8 * num_hosts * num_urls
    urls = [visit.row.url for visit in visits]
    assert len(urls) == len(set(urls))
    hosts = Counter(visit.row.host for visit in visits)
    for name, host in web.hosts.items():
        assert hosts[name] == num_urls + 1 or host.is_down, f"{name}: {hosts[name]} settled"


def test_hosts_of_one_machine_share_its_room():
    web = SimulatedWeb({f"h{number}.example": Host("10.0.0.1", response_s=5.0) for number in range(9)})
    settings = FetchSettings(contact="x", scopes={"": Scope(None)}, round_time_s=10**9, connections_per_address=3)
    virtual_time.run(_crawl(web, 4, settings, ()))
    assert _most_at_once(web.log, web) == 3


@pytest.mark.parametrize(("workers", "most"), [(1, 4), (2, 4), (3, 3), (4, 4), (9, 9)])
def test_workers_share_the_room_of_one_machine(workers: int, most: int, tmp_path: Path):
    """Each has a part of the four connections, and one at least."""
    web = SimulatedWeb({f"h{number}.example": Host("10.0.0.1", response_s=5.0) for number in range(36)})
    settings = fetch_settings(list_job(tmp_path, [f"http://{host}/1.png" for host in web.hosts], workers))
    works = [HostWork(host, [Target(f"http://{host}/1.png", "image", 0, "", "")]) for host in web.hosts]

    async def crawl(lane: int) -> list[Visit]:
        return [visit async for visit in visit_lane(works[lane::workers], settings, Surroundings(web))]

    async def crawl_all() -> None:
        await asyncio.gather(*map(crawl, range(workers)))

    virtual_time.run(crawl_all())
    assert _most_at_once(web.log, web) == most


@pytest.mark.parametrize(
    ("host", "settings", "gaps"),
    [
        (Host("a", response_s=0.1), {}, [1.0, 1.0, 1.0]),
        (Host("a", response_s=0.1), {"delay_s": 4.0}, [4.0, 4.0, 4.0]),
        (Host("a", response_s=3.0), {}, [6.0, 6.0, 6.0]),
        (Host("a", response_s=100.0), {}, [60.0, 60.0, 60.0]),
        (Host("a", crawl_delay_s=9.0), {}, [9.0, 9.0, 9.0]),
        (Host("a", crawl_delay_s=9.0), {"delay_s": 20.0}, [20.0, 20.0, 20.0]),
    ],
)
def test_the_longest_of_all_delays_counts(host: Host, settings: dict[str, float], gaps: list[float]):
    web = SimulatedWeb({"a.example": host})
    changed = FetchSettings(contact="x", scopes={"": Scope(None)}, round_time_s=10**9, site_opt_outs=False, **settings)  # type: ignore[arg-type]
    virtual_time.run(_crawl(web, 3, changed, ()))
    found = [after.begin - before.end for before, after in itertools.pairwise(web.log)]
    assert found == pytest.approx(gaps)


def test_an_overloaded_host_is_asked_ever_less_and_then_more_again():
    web = SimulatedWeb({"a.example": Host("a", overload_every=1)})
    settings = FetchSettings(
        contact="x", scopes={"": Scope(None)}, round_time_s=10**9, max_attempts=1, site_opt_outs=False
    )

    async def crawl() -> None:
        lane = visit_lane([HostWork("a.example", _targets("a.example", 12))], settings, Surroundings(web))
        async for visit in lane:
            if visit.row.url.endswith("/5.png"):
                web.hosts["a.example"].overload_every = 0

    virtual_time.run(crawl())
    gaps = [round(after.begin - before.end, 3) for before, after in itertools.pairwise(web.log)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 30, 15, 7.5, 3.75, 1.875]


@pytest.mark.parametrize("num_hosts", [1, 10])
def test_a_crawl_delay_is_kept_where_nothing_may_be_asked_for(num_hosts: int):
    """Two origins of one host, and hosts whose robots.txt is that of a host on which nothing is due."""
    moved = {f"h{number}.example": Host("b", robots_at="b.example") for number in range(3)}
    web = SimulatedWeb({"a.example": Host("a", crawl_delay_s=30), "b.example": Host("b", crawl_delay_s=7), **moved})
    due = {"a.example": ["http://a.example/no/1", "https://a.example/no/2"]}
    due |= {host: [f"http://{host}/no/1", f"http://{host}/2"] for host in moved}
    works = [HostWork(host, [Target(url, "image", 0, "", "") for url in urls]) for host, urls in due.items()]
    settings = replace(SETTINGS, num_hosts=num_hosts, site_opt_outs=False)

    async def crawl() -> list[str]:
        return [visit.row.reason async for visit in visit_lane(works, settings, Surroundings(web))]

    assert Counter(virtual_time.run(crawl())) == {"robots_disallowed": 5, "": 3}
    assert _broken_promises(web, SETTINGS) == []
    begins = {host: [each.begin for each in web.log if each.host == host] for host in web.hosts}
    assert [len(begins[host]) for host in web.hosts] == [2, 3, 2, 2, 2]
    assert all(begins[host][1] - begins[host][0] >= 7.1 for host in moved)


@pytest.mark.parametrize("is_disallowed", [True, False])
def test_a_crawl_delay_longer_than_accepted_is_not_waited_for(is_disallowed: bool):
    web = SimulatedWeb({"a.example": Host("a", crawl_delay_s=4_000), "b.example": Host("b", robots_at="a.example")})
    path = "no/1" if is_disallowed else "1"
    urls = [f"http://a.example/{path}", f"https://a.example/{path}", f"http://b.example/{path}"]
    works = [HostWork(host, [Target(url, "image", 0, "", "") for url in urls if host in url]) for host in web.hosts]

    async def crawl() -> tuple[list[str], float]:
        visits = [visit async for visit in visit_lane(works, replace(SETTINGS, num_hosts=1), Surroundings(web))]
        return [visit.row.reason for visit in visits], asyncio.get_running_loop().time()

    reasons, seconds = virtual_time.run(crawl())
    assert reasons == ["robots_disallowed" if is_disallowed else "crawl_delay_too_long", *["crawl_delay_too_long"] * 2]
    assert [(each.host, each.path) for each in web.log] == [("a.example", "/robots.txt"), ("b.example", "/robots.txt")]
    assert seconds < 60


def test_a_host_that_asks_for_a_long_pause_is_left_for_later():
    web = SimulatedWeb({"a.example": Host("a", overload_every=4, retry_after_s=4_000)})
    visits = virtual_time.run(_crawl(web, 5, SETTINGS, ()))
    reasons = [visit.row.reason for visit in visits]
    assert reasons == ["", "http_429", *["retry_after_too_long"] * 3, "robots_disallowed"]
    assert len(web.log) == 5


def test_a_host_that_asks_for_a_long_pause_is_not_asked_for_its_other_files_either():
    web = SimulatedWeb({"a.example": Host("a", overload_every=1, retry_after_s=4_000)})
    visits = virtual_time.run(_crawl(web, 5, SETTINGS, ()))
    assert {visit.row.reason for visit in visits} == {"retry_after_too_long", "robots_disallowed"}
    assert [request.path for request in web.log] == ["/robots.txt", "/.well-known/tdmrep.json"]


def test_a_host_that_asked_for_a_long_pause_before_a_crash_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("crawl.gates.wall_clock", lambda: asyncio.get_running_loop().time())
    web = SimulatedWeb({"a.example": Host("a"), "b.example": Host("b", robots_at="a.example")})
    works = [HostWork(host, _targets(host, 2)) for host in web.hosts]
    around = Surroundings(web, {"a.example": Pause(1.0, 86_400.0, 1.0)}, is_asked_before=True)

    async def crawl() -> tuple[list[Visit], float]:
        visits = [visit async for visit in visit_lane(works, SETTINGS, around)]
        return visits, asyncio.get_running_loop().time()

    visits, seconds = virtual_time.run(crawl())
    assert Counter(visit.row.reason for visit in visits) == {"retry_after_too_long": 6}
    assert {visit.row.fate for visit in visits} == {"failed"}
    assert [(request.host, request.path) for request in web.log] == [("b.example", "/robots.txt")]
    assert seconds < 60


def test_a_host_whose_robots_txt_moved_out_of_reach_is_put_off_with_all_that_is_left():
    hosts = {"a.example": Host("a"), "b.example": Host("b", robots_at="c.example"), "c.example": Host("c")}
    web, left = SimulatedWeb(hosts), list[HostWork]()
    works = [HostWork(host, _targets(host, 3), {f"http://{host}/x"}) for host in ("a.example", "b.example")]
    around = Surroundings(web, is_ours=lambda host: host != "c.example", put_off=left.append)

    async def crawl(works: list[HostWork], around: Surroundings) -> list[str]:
        return [visit.row.url async for visit in visit_lane(works, SETTINGS, around)]

    urls = virtual_time.run(crawl(works, around))
    assert [target.url for target in works[0].targets] == urls
    assert left == [works[1]]
    assert [request.path for request in web.log if request.host != "a.example"] == ["/robots.txt"]
    assert virtual_time.run(crawl(left, Surroundings(web))) == [target.url for target in works[1].targets]
    assert [request.path for request in web.log if request.host == "c.example"] == ["/robots.txt"]


def test_robots_txt_is_asked_for_again_after_a_day():
    web = SimulatedWeb({"a.example": Host("a")})
    settings = FetchSettings(
        contact="x",
        scopes={"": Scope(None)},
        delay_s=3600,
        max_delay_s=3600,
        round_time_s=10**9,
        max_pictures_per_host=99,
    )
    virtual_time.run(_crawl(web, 60, settings, ()))
    times = [request.begin for request in web.log if request.path == "/robots.txt"]
    assert len(times) == 3
    assert all(24 * 3600 < after - before < 26 * 3600 for before, after in itertools.pairwise(times))


def test_five_hundred_hosts_are_kept_busy():
    """Each is asked once a second, and answers at once: no second may pass in which one waits for another."""
    web = SimulatedWeb({f"h{number}.example": Host(f"{number}", response_s=0.0) for number in range(500)})
    settings = FetchSettings(contact="x", scopes={"": Scope(None)}, delay_s=1.0, round_time_s=10**9, num_hosts=500)
    virtual_time.run(_crawl(web, 20, settings, ()))
    assert len(web.log) == 500 * 23
    assert max(request.end for request in web.log) <= 22 * 1.05
