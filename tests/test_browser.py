"""The harness itself: what it must notice is shown to it, so that its silence means something."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipelines.folders import STAGE_NAMES
from shards import open_dataset
from tests.browser import Visit, visiting
from tests.builds import manifest_of, seedbed, table_rows
from tests.planted import PLANTED, TAINT
from tests.virtual_samples import STEPS, write_virtual_build

RUNS_AS_IT_IS = (1, 2, 3, 6, 7, 8, 10, 11, 13, 16, 17, 22, 27)
ASKS_ELSEWHERE = (18, 19, 21)
"""Numbers of planted strings that do harm in the body of a page; the others wait in an attribute, for a click, …"""

PAGES = {
    **{f"/planted/{number}": f"<p>{planted}</p>" for number, planted in enumerate(PLANTED, 1)},
    "/quiet": "<main><h1>A page</h1><p>Nothing is wrong with it.</p></main>",
    "/pale": "<main><h1>A page</h1><img src='data:,'><p style='color: #ddd; background: #fff'>pale</p></main>",
    "/alert": "<script>alert('hello')</script>",
    "/throws": "<script>undefinedName()</script>",
}


class Handler(BaseHTTPRequestHandler):
    """Pages without any policy that would keep a script from running."""

    def do_GET(self) -> None:
        body = PAGES.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        head = "<!doctype html><html lang=en><title>x</title><link rel=icon href='data:,'>"
        self.wfile.write(f"{head}{body}".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_with_nothing_wrong_is_quiet_and_timed(chromium: Browser, site: str):
    with visiting(chromium) as visit:
        assert 0 < visit.open(f"{site}/quiet") < 10_000
        visit.check_quiet()
        assert visit.serious_findings() == []
        assert visit.hosts == {"127.0.0.1": 1}


def test_what_axe_finds_serious_is_told_with_its_element(chromium: Browser, site: str):
    with visiting(chromium) as visit:
        visit.open(f"{site}/pale")
        found = visit.serious_findings()
    assert [finding.partition(" ")[0] for finding in found] == ["color-contrast", "image-alt"]
    assert "pale</p>" in found[0]


@pytest.mark.parametrize(("page", "told"), [("/alert", "hello"), ("/throws", "undefinedName"), ("/nowhere", "404")])
def test_a_page_that_is_not_quiet_fails_the_check(chromium: Browser, site: str, page: str, told: str):
    with visiting(chromium) as visit:
        visit.open(f"{site}{page}")
        with pytest.raises(AssertionError, match=told):
            visit.check_quiet()


def test_planted_strings_are_alive_where_nothing_is_escaped(chromium: Browser, site: str):
    ran, asked = [], []
    for number in sorted((*RUNS_AS_IT_IS, *ASKS_ELSEWHERE)):
        with visiting(chromium) as visit:
            visit.open(f"{site}/planted/{number}")
            ran += [number] if _taint(visit) == number else []
            asked += [number] if "evil.example" in visit.hosts else []
            with pytest.raises(AssertionError, match=r"evil\.example|planted script ran|ERR_NAME|404"):
                visit.check_quiet()
    assert (tuple(ran), tuple(asked)) == (RUNS_AS_IT_IS, ASKS_ELSEWHERE)
    assert len(PLANTED) == 30


def _taint(visit: Visit) -> int | None:
    visit.page.wait_for_timeout(20)
    found: int | None = visit.page.evaluate(f"window.{TAINT} ?? null")
    return found


def test_a_virtual_build_is_one_that_a_build_could_have_written(tmp_path: Path):
    out = write_virtual_build(tmp_path / "out", pictures=200, windows=300, planted=PLANTED, is_stored=True)
    done = seedbed("verify", out, "--deep")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    kept = {stage: manifest_of(out, stage).counts.kept for stage in STAGE_NAMES if stage != "score"}
    assert kept == {"crawl": 240, "images": 167, "text": 40, "triplets": 167, "windows": 40}
    assert {row["title"] for row in table_rows(out, "text", "documents-")} >= set(PLANTED)
    captions = {row["caption"] for row in table_rows(out, "images", "images-")}
    assert captions >= set(PLANTED)
    triplets = open_dataset(out / "triplets")
    assert len(triplets) == 150 * STEPS
    assert triplets[0]["caption"] in captions
