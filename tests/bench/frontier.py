"""Memory of the crawl stage by the size of its frontier on disk: `python -m tests.bench.frontier SIDE DATA`.

The stage's own rounds, workers and files; only the web is not there: hosts answer at once, from memory. Lists name a
hundred URLs of each host, and a round asks for five of them, so that nearly all are due in every round; each page shows
a picture of another host. One picture of each host fails in the first round; before the second it is due again, as
where a killed crawl goes on.
"""

import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from crawl.host import Surroundings
from crawl.response import Response
from crawl.urls import host_of
from tests.bench.timing import run_side_once
from tests.bench.watching import looking

SIZES = (10_000, 100_000, 1_000_000)
PAGES, PICTURES, ASKED = 96, 4, 5
"""Of each host: listed pages, listed pictures, which are asked for first, and URLs asked for in a round."""

WORKERS, POLL_S = 2, 0.02
RECIPE: Mapping[str, Any] = {
    "name": "frontier",
    "contact": "gardener@example.org",
    "crawl": {
        "delay_s": 0,
        "response_time_multiple": 0,
        "site_opt_outs": False,
        "max_attempts": 1,
        "max_urls_per_host": ASKED,
    },
}


@dataclass(frozen=True)
class Web:
    """Answers at once; see `crawl.asking.Fetcher`."""

    num_hosts: int

    async def fetch(self, url: str, *, is_body_wanted: Callable[[Response], bool], **_: Any) -> Response:
        """The answer to a URL."""
        status, media_type, body = self._answer(host_of(url), url.rpartition("/")[2])
        head = f"HTTP/1.1 {status} -\r\nContent-Type: {media_type}\r\n\r\n".encode()
        response = Response(status, head, (("content-type", media_type),), body)
        return response if is_body_wanted(response) else Response(status, head, response.headers)

    async def address_of(self, host: str, port: int) -> str | None:
        """None: nobody's load is of concern."""
        del host, port
        return None

    def _answer(self, host: str, name: str) -> tuple[int, str, bytes]:
        if name == "robots.txt":
            return 200, "text/plain", b"User-agent: *\nDisallow: /no\n"
        if name.startswith("page"):
            other = _host((int(host[1:].partition(".")[0]) + 1) % self.num_hosts)
            return 200, "text/html", f'<p>{url_of(host, name)}<img src="{url_of(other, f"shown{name[4:]}")}">'.encode()
        if name == "picture0":
            return 500, "text/plain", b""
        return 200, "image/png", url_of(host, name).encode()


def url_of(host: str, name: str) -> str:
    """The URL of something on a host."""
    return f"http://{host}/{name}"


def _host(number: int) -> str:
    return f"h{number:07d}.example"


def frontier(data: Path) -> Iterator[int]:
    """For each size: URLs found, most memory of a worker and of the process that leads them, milliseconds."""
    for size in SIZES:
        folder = Path(tempfile.mkdtemp(dir=data))
        began = time.monotonic()
        stage = multiprocessing.get_context("fork").Process(target=_run_stage, args=(folder, size))
        peaks: dict[int, int] = {}
        with looking(partial(_note_peaks, peaks), POLL_S):
            stage.start()
            stage.join()
        assert stage.exitcode == 0, "the stage failed"
        yield int((folder / "found").read_text())
        yield max(peak for pid, peak in peaks.items() if pid != stage.pid)
        yield peaks[stage.pid or 0]
        yield int(1000 * (time.monotonic() - began))
        shutil.rmtree(folder)


def _run_stage(folder: Path, size: int) -> None:
    """Runs what the stage consists of, but for two rounds only."""
    from pipelines import crawl, due_again, engine, forked_workers, lanes  # noqa: PLC0415 - Beam takes its time
    from pipelines.receipts import finish_part  # noqa: PLC0415
    from pipelines.seeds import SEEDS, find_seeds  # noqa: PLC0415

    num_hosts = size // (PAGES + PICTURES)
    _write_lists(folder, num_hosts)
    vars(lanes)["Surroundings"] = partial(Surroundings, fetcher=Web(num_hosts))  # which the workers find, forked
    forked_workers.open_nursery()
    job = _job(folder)
    for name in job.recipe.crawl.sources:
        finish_part(job.folder, f"{SEEDS}-{name}", partial(find_seeds, job, name))
    engine.run_pipeline(partial(crawl.build_round, job=job, number=1), WORKERS)
    assert due_again.forget_passing_failures(job.folder) == num_hosts
    engine.run_pipeline(partial(crawl.build_round, job=job, number=2), WORKERS)
    totals = crawl.round_totals(job, 2)
    expected = (totals.found - (ASKED - 1) * num_hosts, ASKED * num_hosts)
    assert (totals.due, totals.asked) == expected, totals
    (folder / "found").write_text(str(totals.found))


def _job(folder: Path) -> Any:
    from pipelines.recipe import Recipe  # noqa: PLC0415
    from pipelines.stages import Job  # noqa: PLC0415
    from pipelines.tombstones import read_tombstones  # noqa: PLC0415

    sources = {
        kind: {"source": "urls", "files": [str(folder / f"{kind}.txt")], "kind": kind, "follow": "pictures"}
        for kind in ("page", "image")
    }
    recipe = Recipe.model_validate({**RECIPE, "crawl": {**RECIPE["crawl"], "sources": sources}})
    return Job("crawl", recipe, folder, "0" * 12, {}, read_tombstones(folder), WORKERS)


def _write_lists(folder: Path, num_hosts: int) -> None:
    for kind, name, count in (("page", "page", PAGES), ("image", "picture", PICTURES)):
        with (folder / f"{kind}.txt").open("w") as file:
            for number in range(num_hosts):
                file.writelines(f"{url_of(_host(number), f'{name}{each}')}\n" for each in range(count))


def _note_peaks(peaks: dict[int, int], this: psutil.Process) -> None:
    """Notes the most memory that each process below this one has had."""
    for child in this.children(recursive=True):
        with suppress(FileNotFoundError, ProcessLookupError):
            peaks[child.pid] = _peak_bytes(child.pid) or peaks.get(child.pid, 0)


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had, as Linux tells it; 0 of one that has ended."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    run_side_once({"frontier": frontier})
