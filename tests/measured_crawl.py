"""A crawler in a process of its own that says what each crawl came to, how long it took and how much memory.

    python -m tests.measured_crawl < cases     (JSON, one a line; answers come out the same way)

Each crawl runs in a child forked from a process that has loaded everything, so that its peak begins at the baseline.
"""

import asyncio
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from crawl.host import HostWork
from crawl.lane import visit_lane
from crawl.records import Target
from crawl.settings import FetchSettings, Scope
from crawl.urls import host_of

DEADLINE_S = 30
"""After which a crawl is ended by a signal; none may need it."""


@dataclass(frozen=True)
class Measured:
    """What a crawl came to: for each URL fate and reason, its details, links found, peak memory over the baseline."""

    fates: dict[str, str]
    details: dict[str, str]
    num_links: int
    grew_mb: float
    waited_s: float
    """Wall-clock seconds in which the process did nothing, or others had the processor: what a server can drag out."""
    worked_s: float
    """Seconds of CPU time."""


class MeasuredCrawler:
    """Has URLs crawled in the other process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def crawl(self, urls: Mapping[str, str], **settings: Any) -> Measured:
        """Crawls URLs, each with the kind expected there; fails where no answer comes in time."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"urls": dict(urls), "settings": settings}) + "\n")
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], DEADLINE_S + 10)
        answer = stdout.readline() if ready else ""
        assert answer.strip(), "the crawl did not end by itself"
        return Measured(**json.loads(answer))


@contextmanager
def measured_crawler(environment: Mapping[str, str]) -> Iterator[MeasuredCrawler]:
    """Gives a crawler whose process ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.measured_crawl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(environment),
    )
    try:
        yield MeasuredCrawler(process)
    finally:
        process.communicate(timeout=DEADLINE_S)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _visit(urls: Mapping[str, str], settings: FetchSettings) -> tuple[dict[str, str], dict[str, str], int]:
    hosts: dict[str, list[Target]] = {}
    for url, kind in urls.items():
        hosts.setdefault(host_of(url), []).append(Target(url, kind, 0, "", ""))  # type: ignore[arg-type]
    fates, details, num_links = {}, {}, 0
    async for visit in visit_lane([HostWork(host, due) for host, due in hosts.items()], settings):
        fates[visit.row.url] = f"{visit.row.fate} {visit.row.reason}".strip()
        details[visit.row.url] = visit.row.detail
        num_links += len(visit.links)
    return fates, details, num_links


def _measure(case: dict[str, Any]) -> Measured:
    hosts = tuple(case["settings"].get("allow_hosts", ()))
    settings = FetchSettings(contact="gardener@trees.example", scopes={"": Scope(hosts)}, **case["settings"])
    baseline, began, worked = _peak_mb(), time.monotonic(), time.process_time()
    fates, details, num_links = asyncio.run(_visit(case["urls"], settings))
    worked_s = time.process_time() - worked
    waited_s = time.monotonic() - began - worked_s
    return Measured(fates, details, num_links, _peak_mb() - baseline, waited_s, worked_s)


def main() -> None:
    """Answers cases until there are no more."""
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            signal.alarm(DEADLINE_S)
            print(json.dumps(vars(_measure(json.loads(line)))), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            print(flush=True)


if __name__ == "__main__":
    main()
