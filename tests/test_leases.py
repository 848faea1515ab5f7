"""A slot is one fetcher's at a time: real processes claim it, end, are killed, and are stopped for too long."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.leases import FOLDER, LeaseLostError, SlotLeases, holder_of
from shards.asking import StoreError
from shards.object_path import AnyPath, ObjectPath
from tests.builds import wait_for
from tests.object_store import slow_in_store

ROOT = Path(__file__).parents[1]
LEASE_S = 2.0
STORE_LEASE_S = 6.0
"""In a store, where a renewal takes two requests, and the first of all takes a connection."""

ELSEWHERE = '{"machine": "elsewhere", "pid": 1, "started": 0.0}'
FETCHER = """
import sys, time
from pathlib import Path
from pipelines.leases import LeaseLostError, SlotLeases
from shards.object_path import any_path

folder, name, log = any_path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
rounds, lease_s = int(sys.argv[4]), float(sys.argv[5])
with SlotLeases(folder, [7], lease_s) as leases:
    for number in range(rounds):
        try:
            leases.renew()
        except LeaseLostError:
            sys.exit(3)
        if leases.seconds_left() <= lease_s / 4:
            sys.exit(4)
        with log.open("a") as file:
            file.write(f"{name} begins {time.monotonic()}\\n")
        time.sleep(0.02)
        with log.open("a") as file:
            file.write(f"{name} ends {time.monotonic()}\\n")
"""


@contextmanager
def _fetcher(
    folder: AnyPath, name: str, log: Path, rounds: int = 10**6, lease_s: float = 0.0
) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-c",
        FETCHER,
        str(folder),
        name,
        str(log),
        str(rounds),
        str(lease_s or lease_of(folder)),
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lease_of(place: AnyPath) -> float:
    return LEASE_S if isinstance(place, Path) else STORE_LEASE_S


def _renew(lease: AnyPath) -> None:
    """Renews a lease as a holder on another machine does."""
    if isinstance(lease, Path):
        os.utime(lease)
    else:
        lease.write_text(f"{ELSEWHERE}\n{secrets.token_hex(8)}")


def _asked(log: Path, name: str) -> int:
    return log.read_text().count(f"{name} begins") if log.exists() else 0


def _overlaps(log: Path) -> list[str]:
    """Requests that one fetcher began while another's was under way."""
    under_way: set[str] = set()
    found = []
    for line in log.read_text().splitlines():
        name, what, _ = line.split()
        found += [line] if what == "begins" and under_way - {name} else []
        (under_way.add if what == "begins" else under_way.discard)(name)
    return found


@slow_in_store
def test_two_fetchers_never_ask_at_the_same_time(place: AnyPath, tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(place, "one", log, 40) as one, _fetcher(place, "two", log, 40) as two:
        assert (one.wait(30), two.wait(30)) == (0, 0)
    lines = log.read_text().splitlines()
    names = [line.split()[0] for line in lines]
    assert sorted(names) == ["one"] * 80 + ["two"] * 80
    assert names in (["one"] * 80 + ["two"] * 80, ["two"] * 80 + ["one"] * 80)


def test_a_killed_fetcher_on_the_same_machine_is_followed_at_once(place: AnyPath, tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(place, "one", log, lease_s=60) as one:
        wait_for(lambda: _asked(log, "one"), "the first fetcher")
        one.kill()
        one.wait()
        with _fetcher(place, "two", log, 1, lease_s=60) as two:
            assert two.wait(30) == 0


@slow_in_store
def test_a_fetcher_that_was_away_too_long_asks_for_nothing_more(place: AnyPath, tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(place, "one", log) as one:
        wait_for(lambda: _asked(log, "one"), "the first fetcher")
        with _fetcher(place, "two", log) as two:
            one.send_signal(signal.SIGSTOP)
            asked = _asked(log, "one")
            wait_for(lambda: _asked(log, "two"), "the second fetcher")
            one.send_signal(signal.SIGCONT)
            assert one.wait(30) in (3, 4)
            assert _asked(log, "one") <= asked + 1  # one may have been on its way to the log
            assert two.poll() is None


@slow_in_store
def test_whoever_renews_is_not_followed(place: AnyPath, tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(place, "one", log), _fetcher(place, "two", log):
        wait_for(lambda: _asked(log, "one") + _asked(log, "two"), "a fetcher")
        time.sleep(3 * lease_of(place))
        assert 0 in (_asked(log, "one"), _asked(log, "two"))
        assert not _overlaps(log)


@slow_in_store
def test_a_lease_from_another_machine_ends_by_our_clock(place: AnyPath):
    """Nobody can tell whether a process of another machine is there: only waiting helps."""
    folder = place / FOLDER
    folder.mkdir(parents=True)
    theirs = folder / "slot-07.000004"
    theirs.write_text(ELSEWHERE)
    if isinstance(theirs, Path):
        os.utime(theirs, (2**31, 2**31))  # their clock is wrong
    began = time.monotonic()
    with SlotLeases(place, [7], lease_of(place)):
        assert time.monotonic() - began >= lease_of(place)
        assert (folder / "slot-07.000005").exists()


def test_a_lease_that_another_took_is_lost(place: AnyPath):
    now = [0.0]
    with SlotLeases(place, [1, 2], 30, lambda: now[0]) as leases:
        now[0] = 15.0
        leases.renew()
        assert leases.seconds_left() == 30
        (place / FOLDER / "slot-02.000002").write_text("{}")
        now[0] = 20.0
        leases.renew()  # it is too early to look
        now[0] = 30.0
        with pytest.raises(LeaseLostError, match="slot 2 is another's"):
            leases.renew()


def test_a_lease_that_ended_is_not_renewed(place: AnyPath):
    now = [0.0]
    with SlotLeases(place, [1], 30, lambda: now[0]) as leases:
        now[0] = 31.0
        assert leases.seconds_left() < 0
        with pytest.raises(LeaseLostError):
            leases.renew()


@slow_in_store
def test_all_slots_of_a_machine_that_is_gone_come_free_at_once(place: AnyPath):
    folder = place / FOLDER
    folder.mkdir(parents=True)
    for slot in range(5):
        (folder / f"slot-{slot:02d}.000001").write_text(ELSEWHERE)
    began = time.monotonic()
    with SlotLeases(place, range(5), lease_of(place)):
        assert 1 <= (time.monotonic() - began) / lease_of(place) < 2


@slow_in_store
def test_what_is_held_stays_held_while_another_slot_is_waited_for(place: AnyPath):
    theirs = place / FOLDER / "slot-02.000001"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(ELSEWHERE)
    entered: list[str] = []

    def enter(name: str, slots: list[int]) -> None:
        with SlotLeases(place, slots, lease_of(place)) as leases:
            entered.append(name)
            leases.check()
            time.sleep(0.3)

    with ThreadPoolExecutor() as pool:
        both = pool.submit(enter, "both", [1, 2])
        wait_for((place / FOLDER / "slot-01.000001").exists, "the first slot")
        one = pool.submit(enter, "one", [1])
        for _ in range(30):  # three times as long as a lease
            _renew(theirs)
            time.sleep(lease_of(place) / 10)
        assert not entered
        theirs.write_text("")
        both.result(30)
        one.result(30)
    assert entered == ["both", "one"]


def test_a_lease_that_is_gone_is_nobodys(place: AnyPath):
    """Whoever takes a lock over removes the lease before, which another may just be looking at."""
    assert holder_of(place / FOLDER / "slot-00.000001") is None
    with SlotLeases(place, [1], 30) as leases:
        for lease in (place / FOLDER).glob("*"):
            lease.unlink()
        leases.renew()  # it is too early to look
        leases._renewed -= 15
        with pytest.raises(LeaseLostError, match="slot 1 is another's"):
            leases.renew()


def test_a_store_that_gives_no_answer_for_a_while_costs_no_lease(
    s3_folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
):
    def no_answer(_folder: AnyPath) -> None:
        raise StoreError("the store gives no answer")

    now = [0.0]
    with SlotLeases(s3_folder, [1], 30, lambda: now[0]) as leases:
        now[0] = 15.0
        with monkeypatch.context() as patch:
            patch.setattr("pipelines.leases._newest", no_answer)
            assert leases.renew_if_answered()
            assert leases.seconds_left() == 15
        assert leases.renew_if_answered()
        assert leases.seconds_left() == 30
        now[0] = 46.0
        assert not leases.renew_if_answered()
