"""A slot is one fetcher's at a time: real processes claim it, end, are killed, and are stopped for too long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.leases import FOLDER, LeaseLostError, SlotLeases
from tests.builds import wait_for

ROOT = Path(__file__).parents[1]
LEASE_S = 2.0
FETCHER = """
import sys, time
from pathlib import Path
from pipelines.leases import LeaseLostError, SlotLeases

folder, name, log = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
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
    folder: Path, name: str, log: Path, rounds: int = 10**6, lease_s: float = LEASE_S
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", FETCHER, str(folder), name, str(log), str(rounds), str(lease_s)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


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


def test_two_fetchers_never_ask_at_the_same_time(tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(tmp_path, "one", log, 40) as one, _fetcher(tmp_path, "two", log, 40) as two:
        assert (one.wait(30), two.wait(30)) == (0, 0)
    lines = log.read_text().splitlines()
    names = [line.split()[0] for line in lines]
    assert sorted(names) == ["one"] * 80 + ["two"] * 80
    assert names in (["one"] * 80 + ["two"] * 80, ["two"] * 80 + ["one"] * 80)


def test_a_killed_fetcher_on_the_same_machine_is_followed_at_once(tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(tmp_path, "one", log, lease_s=60) as one:
        wait_for(lambda: _asked(log, "one"), "the first fetcher")
        one.kill()
        one.wait()
        with _fetcher(tmp_path, "two", log, 1, lease_s=60) as two:
            assert two.wait(30) == 0


def test_a_fetcher_that_was_away_too_long_asks_for_nothing_more(tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(tmp_path, "one", log) as one:
        wait_for(lambda: _asked(log, "one"), "the first fetcher")
        with _fetcher(tmp_path, "two", log) as two:
            one.send_signal(signal.SIGSTOP)
            asked = _asked(log, "one")
            wait_for(lambda: _asked(log, "two"), "the second fetcher")
            one.send_signal(signal.SIGCONT)
            assert one.wait(30) in (3, 4)
            assert _asked(log, "one") <= asked + 1  # one may have been on its way to the log
            assert two.poll() is None


def test_whoever_renews_is_not_followed(tmp_path: Path):
    log = tmp_path / "log"
    with _fetcher(tmp_path, "one", log), _fetcher(tmp_path, "two", log):
        wait_for(lambda: _asked(log, "one") + _asked(log, "two"), "a fetcher")
        time.sleep(3 * LEASE_S)
        assert 0 in (_asked(log, "one"), _asked(log, "two"))
        assert not _overlaps(log)


def test_a_lease_from_another_machine_ends_by_our_clock(tmp_path: Path):
    """Nobody can tell whether a process of another machine is there: only waiting helps."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    theirs = folder / "slot-07.000004"
    theirs.write_text('{"machine": "elsewhere", "pid": 1, "started": 0.0}')
    os.utime(theirs, (2**31, 2**31))  # their clock is wrong
    began = time.monotonic()
    with SlotLeases(tmp_path, [7], LEASE_S):
        assert time.monotonic() - began >= LEASE_S
        assert (folder / "slot-07.000005").exists()


def test_a_lease_that_another_took_is_lost(tmp_path: Path):
    now = [0.0]
    with SlotLeases(tmp_path, [1, 2], 30, lambda: now[0]) as leases:
        now[0] = 15.0
        leases.renew()
        assert leases.seconds_left() == 30
        (tmp_path / FOLDER / "slot-02.000002").write_text("{}")
        now[0] = 20.0
        leases.renew()  # it is too early to look
        now[0] = 30.0
        with pytest.raises(LeaseLostError, match="slot 2 is another's"):
            leases.renew()


def test_a_lease_that_ended_is_not_renewed(tmp_path: Path):
    now = [0.0]
    with SlotLeases(tmp_path, [1], 30, lambda: now[0]) as leases:
        now[0] = 31.0
        assert leases.seconds_left() < 0
        with pytest.raises(LeaseLostError):
            leases.renew()


def test_all_slots_of_a_machine_that_is_gone_come_free_at_once(tmp_path: Path):
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for slot in range(5):
        (folder / f"slot-{slot:02d}.000001").write_text('{"machine": "elsewhere", "pid": 1, "started": 0.0}')
    began = time.monotonic()
    with SlotLeases(tmp_path, range(5), LEASE_S):
        assert LEASE_S <= time.monotonic() - began < 2 * LEASE_S


def test_what_is_held_stays_held_while_another_slot_is_waited_for(tmp_path: Path):
    theirs = tmp_path / FOLDER / "slot-02.000001"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"machine": "elsewhere", "pid": 1, "started": 0.0}')
    entered: list[str] = []

    def enter(name: str, slots: list[int]) -> None:
        with SlotLeases(tmp_path, slots, LEASE_S) as leases:
            entered.append(name)
            leases.check()
            time.sleep(0.3)

    with ThreadPoolExecutor() as pool:
        both = pool.submit(enter, "both", [1, 2])
        wait_for((tmp_path / FOLDER / "slot-01.000001").exists, "the first slot")
        one = pool.submit(enter, "one", [1])
        for _ in range(30):  # three times as long as a lease
            os.utime(theirs)
            time.sleep(LEASE_S / 10)
        assert not entered
        theirs.write_text("")
        both.result(30)
        one.result(30)
    assert entered == ["both", "one"]
