"""The inspection page for everyone: with axe, on a phone, in the dark, of damaged builds, and of 100,000 samples."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from pipelines.inspect.rendering import PAGES
from tests.browser import visiting
from tests.builds import manifest_of, table_rows
from tests.inspected import serving
from tests.inspected_builds import quiet_visit, settle
from tests.virtual_samples import write_virtual_build

PHONE: ViewportSize = {"width": 390, "height": 844}

FIRST_VIEW_MS, P95_MS = 1_000, 200
"""What people wait for the first view of 100,000 samples, and for any other page: 95 of 100 come sooner."""


def addresses(out: Path) -> dict[str, str]:
    """An address of every view, by its name."""
    key = next(row["key"] for row in table_rows(out, "images", "images-") if row["split"] == "train")
    url = next(row["url"] for row in table_rows(out, "images", "images-") if row["split"] == "train")
    window = _first_window(out)
    named = {
        "overview": "/",
        "triplet": f"/triplet?split=train&key={key}-k3-d0",
        "window": f"/window?split=train&key={window}",
        "rejects": "/rejects?stage=images&reason=rejected:flat",
        "item": f"/item?name={key}",
        "record": f"/record?url={url}",
        "forget": f"/forget?kind=url&value={url}",
        "search": "/search?q=snow",
    }
    return {name: named.get(name, f"/{name}") for name in PAGES}


def _first_window(out: Path) -> str:
    from shards import open_dataset  # noqa: PLC0415

    key: str = open_dataset(out / "windows")[0]["key"]
    return key


@pytest.mark.parametrize("view", [*PAGES, "words"])
def test_axe_finds_nothing_serious_in_light_and_dark_and_nothing_is_wider_than_a_phone(
    chromium: Browser, site: str, gardens: tuple[Path, Path], view: str
):
    with quiet_visit(chromium, site) as visit:
        visit.page.goto({**addresses(gardens[0]), "words": "/trainer?stage=windows&batch=2"}[view])
        settle(visit.page)
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            assert visit.serious_findings() == []
        visit.page.set_viewport_size(PHONE)
        visit.page.wait_for_timeout(400)  # curves are drawn anew when a window has stopped changing
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def flip_a_byte(out: Path) -> str:
    (tar,) = (out / "triplets").glob("*/train-000000.tar")
    content = bytearray(tar.read_bytes())
    content[content.index(b"\x93NUMPY") + 300] ^= 1
    tar.write_bytes(content)
    return "clean.npy has another CRC-32C"


def lose_a_shard(out: Path) -> str:
    (tar,) = (out / "triplets").glob("*/val-000000.tar")
    tar.unlink()
    return "val-000000.tar"


def cut_a_table(out: Path) -> str:
    (table,) = (out / "images").glob("*/images-000000.parquet")
    table.write_bytes(table.read_bytes()[:200])
    return "images-000000.parquet cannot be read"


def forget_the_manifest(out: Path) -> str:
    (out / "windows" / manifest_of(out, "windows").fingerprint / "manifest.json").unlink()
    return "is missing: the build was not finished"


def write_another_version(out: Path) -> str:
    path = out / "windows" / manifest_of(out, "windows").fingerprint / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"format_version": 1', '"format_version": 99'), "utf-8")
    return "format version 99, but this program reads 1"


@pytest.mark.parametrize("harm", [flip_a_byte, lose_a_shard, cut_a_table, forget_the_manifest, write_another_version])
def test_a_damaged_build_opens_says_what_is_wrong_and_shows_the_rest(
    chromium: Browser, planted: Path, tmp_path: Path, harm: Callable[[Path], str]
):
    shutil.copytree(planted, tmp_path / "out")
    told, seen = harm(tmp_path / "out"), ""
    with serving(tmp_path / "out") as address, visiting(chromium, base_url=address) as visit:
        for view in ("/", "/triplets", "/windows", "/funnel", "/shards", "/pictures"):
            visit.page.goto(view)
            settle(visit.page)
            seen += visit.page.locator("main").inner_text()
        assert told in seen
        assert visit.page.locator("h1").is_visible()
        visit.errors = [error for error in visit.errors if "404" not in error]  # a view whose stage is not there
        visit.check_quiet()
    assert "crawl" in seen


def test_a_folder_that_is_no_dataset_opens_and_says_so(chromium: Browser, tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"no picture")
    with serving(tmp_path) as address, quiet_visit(chromium, address) as visit:
        visit.page.goto("/")
        assert "give the folder of a build" in visit.page.locator(".troubles").inner_text()


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 pictures, half a million samples, and 100,000 windows."""
    return write_virtual_build(tmp_path_factory.mktemp("forest") / "forest", 100_000, 100_000)


@pytest.mark.slow
def test_a_hundred_thousand_samples_open_in_a_second_and_answer_in_a_fifth(chromium: Browser, forest: Path):
    with serving(forest) as address, quiet_visit(chromium, address) as visit:
        first = visit.open(f"{address}/")
        asked = list(_walk(visit.page, addresses(forest)))
    print(f"first view {first:.0f} ms; {len(asked)} pages: {_told(asked)}")
    assert first < FIRST_VIEW_MS
    assert quantiles([ms for _, ms in asked], n=20)[-1] < P95_MS, _told(asked)


def _walk(page: Page, where: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Goes from view to view as people do, and says how long each took, to its `load` event."""
    more = [f"/triplets?first={first}&step={step}" for first in (0, 24, 4_800, 60_000) for step in (0, 3)]
    more += [f"/triplets?licence=CC0-1.0&host=trees-{host:02d}.example" for host in range(4)]
    more += [f"/windows?first={first}" for first in (0, 24, 50_000, 86_000)]
    more += [f"/trainer?stage={of}&position={at}&seed={at}" for of in ("triplets", "windows") for at in (0, 70_000)]
    more += ["/search?q=behind+the+house", "/search?q=trees-07.example", f"/search?q={where['window'][-32:]}"]
    views = [address for name, address in where.items() if name != "record"]  # payloads are not stored here
    for address in (*views, *more, *views):
        started = perf_counter()
        page.goto(address, wait_until="load")
        yield address, 1000 * (perf_counter() - started)


def _told(asked: list[tuple[str, float]]) -> str:
    slowest = sorted(asked, key=lambda each: -each[1])
    return ", ".join(f"{address} {ms:.0f} ms" for address, ms in slowest[:8])
