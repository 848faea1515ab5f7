"""Pauses on disk: what hosts asked for outlasts a crash, and what is over goes."""

import asyncio
import itertools
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path

import pytest

from crawl.gates import Pause
from crawl.host import HostWork, Surroundings
from crawl.lane import visit_lane
from crawl.records import Target
from crawl.settings import FetchSettings, Scope
from pipelines.frontier import SLOTS, slot_of
from pipelines.pauses import FOLDER, PausesFile
from shards.object_path import AnyPath
from tests import virtual_time
from tests.simulated_web import Host, SimulatedWeb

ALL = range(SLOTS)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [1_000.0]
    monkeypatch.setattr("crawl.gates.wall_clock", lambda: time[0])
    return time


def _num_lines(folder: AnyPath) -> int:
    return sum(len(path.read_text().splitlines()) for path in (folder / FOLDER).glob("*"))


def test_a_pause_between_requests_becomes_a_time_when_whoever_made_them_is_gone(place: AnyPath, now: list[float]):
    pauses = PausesFile(place, ALL)
    pauses["a.example"] = Pause(3.0, 990.0, 7.5)
    pauses["b.example"] = Pause(1.0, 2_000.0, 1.0)
    assert dict(PausesFile(place, ALL)) == {
        "a.example": Pause(3.0, 1_007.5, 0.0),
        "b.example": Pause(1.0, 2_000.0, 0.0),
    }
    now[0] = 1_007.5
    assert dict(PausesFile(place, ALL)) == {"b.example": Pause(1.0, 2_000.0, 0.0)}


def test_only_what_slots_are_held_is_read_and_compacted(place: AnyPath, now: list[float]):
    PausesFile(place, ALL).update({"a.example": Pause(1.0, 0.0, 5.0), "c.example": Pause(1.0, 0.0, 5.0)})
    ours = slot_of("a.example")
    assert ours != slot_of("c.example")
    assert list(PausesFile(place, [ours])) == ["a.example"]
    now[0] += 60
    assert list(PausesFile(place, [ours])) == []
    assert dict(PausesFile(place, ALL)) == {"c.example": Pause(1.0, 1_065.0, 0.0)}


@pytest.mark.parametrize("place", ["disk", pytest.param("store", marks=pytest.mark.slow)], indirect=True)
def test_the_files_stay_small_however_long_a_crawl_goes_on(place: AnyPath, now: list[float]):
    for _ in range(12):
        pauses = PausesFile(place, ALL)
        for number in range(20):
            for until in range(5):
                pauses[f"h{number}.example"] = Pause(1.0, now[0] + until, 2.0)
        now[0] += 60
        assert _num_lines(place) <= 20 * 5 + 20
    for _ in range(2):
        PausesFile(place, ALL)
        now[0] += 60
    assert _num_lines(place) == 0
    assert list((place / FOLDER).glob("*")) == []


def test_what_a_crash_cut_off_is_left_out(tmp_path: Path, now: list[float]):
    PausesFile(tmp_path, ALL)["a.example"] = Pause(1.0, now[0] + 9, 1.0)
    (path,) = (tmp_path / FOLDER).glob("*")
    with path.open("a") as file:
        file.write('["a.example", 1.0, 99')
    assert dict(PausesFile(tmp_path, ALL)) == {"a.example": Pause(1.0, now[0] + 9, 0.0)}


def _targets(host: str) -> list[Target]:
    return [Target(f"http://{host}/{number}.png", "image", 0, "", "") for number in range(9)]


def _crawls_cut_off(
    web: SimulatedWeb, folder: AnyPath, runs: Iterable[tuple[float, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Visits hosts one after another, begun again and cut off after so many seconds each time."""
    settings = FetchSettings(
        contact="x", scopes={"": Scope(None)}, round_time_s=10**9, site_opt_outs=False, num_hosts=1
    )

    async def crawl(seconds: float, hosts: list[str]) -> None:
        around = Surroundings(web, PausesFile(folder, ALL), is_asked_before=bool(web.log))
        targets = {
            host: [Target(f"http://{host}/{number}.png", "image", 0, "", "") for number in range(9)] for host in hosts
        }
        lane = visit_lane([HostWork(host, targets[host]) for host in hosts], settings, around)
        try:
            async with asyncio.timeout(seconds):
                async for _ in lane:
                    continue
        except TimeoutError:
            await lane.aclose()

    async def crawl_often() -> None:
        monkeypatch.setattr("crawl.gates.wall_clock", lambda: asyncio.get_running_loop().time())
        for seconds, hosts in runs:
            await crawl(seconds, hosts)

    virtual_time.run(crawl_often())


def _gaps_s(web: SimulatedWeb, host: str) -> list[float]:
    asked = sorted((each for each in web.log if each.host == host), key=attrgetter("begin"))
    return [after.begin - before.end for before, after in itertools.pairwise(asked)]


def test_no_gap_is_shorter_than_promised_however_often_a_crawl_is_cut_off(
    place: AnyPath, monkeypatch: pytest.MonkeyPatch
):
    """The host asks for 9 s, which is known from the first run on; each run is cut off a moment after its first ask."""
    web = SimulatedWeb({"a.example": Host("a", response_s=0.1, crawl_delay_s=9)})
    _crawls_cut_off(web, place, [(s, ["a.example"]) for s in (0.5, 9.5, 9.05, 30, 3, 3, 9.5, 30)], monkeypatch)
    gaps = _gaps_s(web, "a.example")
    assert len(gaps) >= 6
    assert min(gaps) >= 9 - 1e-6


def test_no_gap_is_shorter_than_promised_where_a_run_is_cut_off_before_it_comes_to_a_host(
    place: AnyPath, monkeypatch: pytest.MonkeyPatch
):
    """The host asks for 30 s; a first run is cut off in the middle of a request to it, a second one while elsewhere."""
    web = SimulatedWeb({"a.example": Host("a", crawl_delay_s=30), "z.example": Host("z")})
    runs = [(30.15, ["a.example"]), (2, ["z.example", "a.example"]), (60, ["a.example"])]
    _crawls_cut_off(web, place, runs, monkeypatch)
    gaps = _gaps_s(web, "a.example")
    assert len(gaps) >= 2
    assert min(gaps) >= 30 - 1e-6
