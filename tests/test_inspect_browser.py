"""The inspection page in a real browser: what people do in each view, without an error, and without another host."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from models import denoiser, language
from shards import open_dataset
from tests.browser import Visit, visiting
from tests.builds import table_rows
from tests.inspected import serving
from tests.planted import PLANTED
from tests.test_inspect_views import TINY_RUN
from tests.virtual_samples import write_virtual_build

ADDRESSES = {
    "overview": "/",
    "pictures": "/pictures",
    "triplets": "/triplets",
    "triplet": "/triplet",
    "windows": "/windows",
    "window": "/window?split=val",
    "prose": "/prose",
    "funnel": "/funnel",
    "turned away pictures": "/rejects?stage=images",
    "turned away texts": "/rejects?stage=text",
    "trainer": "/trainer?batch=3",
    "trainer of windows": "/trainer?stage=windows&batch=3",
    "shards": "/shards",
    "diff": "/diff",
    "search": "/search?q=oak",
    "forget": "/forget?kind=host&value=trees-00.example",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with hostile strings wherever crawled text stands, and two models that were trained a little."""
    folder = write_virtual_build(tmp_path_factory.mktemp("browser") / "out", 400, 200, PLANTED, is_stored=True)
    more = (*TINY_RUN, "--num-validations", "1")
    assert denoiser.main([str(folder), "--out", str(folder / "runs" / "small"), *more]) == 0
    assert language.main([str(folder), "--out", str(folder / "runs" / "words"), *more, "--num-layers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def address(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    other = write_virtual_build(tmp_path_factory.mktemp("browser") / "other", 300, 60, PLANTED, is_stored=True)
    with serving(out, other) as served:
        yield served


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    """A page whose every word was heard: at its end there must have been none."""
    with visiting(chromium) as opened:
        yield opened
        opened.check_quiet()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", ADDRESSES)
def test_every_view_is_quiet_fits_its_width_and_keeps_nobody_out(
    chromium: Browser, address: str, view: str, width: int
):
    scheme = "dark" if width == 390 else "light"
    with visiting(chromium, width=width, color_scheme=scheme) as visit:
        visit.open(f"{address}{ADDRESSES[view]}")
        visit.page.wait_for_load_state("networkidle")
        expect(visit.page.locator("main h1")).to_have_count(1)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.serious_findings() == []
        assert [status for status, _ in visit.answers if status >= 400] == []
        visit.check_quiet()


def test_from_the_overview_to_a_split_and_back(visit: Visit, address: str):
    page = visit.page
    page.goto(address)
    page.get_by_role("link", name="train", exact=True).first.click()
    expect(page.get_by_role("heading", name="Triplets")).to_be_visible()
    assert "split=train" in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="What was built from what")).to_be_visible()


def test_charts_come_when_the_page_stands_and_lead_to_what_they_count(visit: Visit, address: str, out: Path):
    page = visit.page
    page.goto(address)
    page.get_by_role("link", name="CC0-1.0").first.click()
    expect(page.locator("select[name=licence]")).to_have_value("CC0-1.0")
    number = sum(
        row["licence"] == "CC0-1.0" and row["split"] == "train" for row in table_rows(out, "images", "images-")
    )
    expect(page.locator(".pager")).to_contain_text(f"of {5 * number:,}")


def test_a_filter_is_chosen_and_its_address_says_so(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplets")
    page.locator("select[name=step]").select_option("3")
    page.wait_for_url(re.compile("step=3"))
    expect(page.locator(".tile").first).to_contain_text("60 % static")
    page.locator("select[name=licence]").select_option("CC-BY-4.0")
    page.wait_for_url(re.compile("licence=CC-BY-4.0"))
    expect(page.locator(".tile").first).to_contain_text("CC-BY-4.0")
    shown = page.locator(".tile .caption").all_text_contents()
    page.goto(page.url)
    assert page.locator(".tile .caption").all_text_contents() == shown, "the address is a permalink"


def test_pages_are_turned_by_keys(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplets")
    first = page.locator(".tile a").first.get_attribute("href")
    page.keyboard.press("n")
    page.wait_for_url(re.compile("first=24"))
    assert page.locator(".tile a").first.get_attribute("href") != first
    page.keyboard.press("p")
    page.wait_for_url(re.compile(r"triplets\?(?!.*first)"))
    assert page.locator(".tile a").first.get_attribute("href") == first


def test_a_grid_is_walked_and_opened_by_keys(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplets")
    third = page.locator(".tile a").nth(2).get_attribute("href")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}{third}")
    page.keyboard.press("g")
    expect(page.get_by_role("heading", name="Triplets")).to_be_visible()


def test_the_ladder_slides_from_the_clean_picture_to_static(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplet")
    clean = _pixels(page, "#panels figure:nth-child(2) img")
    page.locator("#percent").focus()
    page.keyboard.press("Home")
    expect(page.locator("#level")).to_have_text("0 %")
    _settled(page)
    assert _pixels(page, "#noisy") == clean
    page.keyboard.press("End")
    expect(page.locator("#level")).to_have_text("100 %")
    _settled(page)
    assert _pixels(page, "#noisy") != clean
    page.locator("#percent").blur()
    page.keyboard.press("4")
    expect(page.locator("#level")).to_have_text("40 %")
    page.keyboard.press("c")
    _settled(page)
    assert _pixels(page, "#noisy") == clean


def test_a_triplet_is_enlarged_eight_times_pixel_by_pixel(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplet")
    page.get_by_role("button", name="×8").click()
    box = page.locator("#noisy").bounding_box()
    assert box is not None
    assert box["width"] == 8 * 16
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="×1")).to_have_attribute("aria-pressed", "true")


def test_a_triplet_shows_its_noise_and_says_whether_it_is_right(visit: Visit, address: str, out: Path):
    page = visit.page
    page.goto(f"{address}/triplet")
    expect(page.get_by_role("img", name=re.compile("Histogram of the noise"))).to_be_visible()
    expect(page.locator(".check.yes")).to_contain_text("✓")
    page.locator(".rungs a").nth(4).click()
    page.wait_for_url(re.compile("-k5-d0"))
    sample = open_dataset(out / "triplets")[4]
    expect(page.locator(".record")).to_contain_text(sample["meta"]["sha256"])


def test_neighbours_are_reached_by_arrows(visit: Visit, address: str, out: Path):
    page = visit.page
    dataset = open_dataset(out / "triplets")
    page.goto(f"{address}/triplet?key={dataset[6]['key']}")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(dataset[7]["key"]))
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(dataset[6]["key"]))


def test_the_next_word_is_told_where_one_points(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/window")
    chips = page.locator(".chips .chip")
    chips.nth(2).hover()
    told = chips.nth(2).evaluate("chip => getComputedStyle(chip, '::after').content")
    assert chips.nth(3).text_content() in told
    expect(page.locator("mark.calm").first).not_to_be_empty()


def test_a_page_is_looked_up_in_its_archive_as_text(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/window")
    page.get_by_role("link", name="the page as it was stored").first.click()
    expect(page.get_by_text("Shown as text; nothing in it is executed or loaded.")).to_be_visible()
    expect(page.locator("pre.source")).to_contain_text("<title>")


def test_a_reason_of_the_funnel_leads_to_the_pictures_themselves(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/funnel")
    page.locator("#images").get_by_role("link", name="extreme aspect").click()
    page.wait_for_load_state("networkidle")
    widths = page.locator(".frame img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths
    assert min(widths) > 0


def test_a_reason_of_the_funnel_leads_to_the_texts_themselves(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/funnel")
    page.locator("#text").get_by_role("link", name="too few words").click()
    expect(page.locator(".text.away blockquote").first).not_to_be_empty()
    expect(page.locator(".text.kept blockquote").first).not_to_be_empty()


def test_every_decision_is_followed_from_picture_to_page(visit: Visit, address: str, out: Path):
    page = visit.page
    row = next(row for row in table_rows(out, "images", "images-") if re.fullmatch(r"[\w:/.\-]+", row["url"]))
    page.goto(f"{address}/item?name={row['key']}")
    expect(page.locator(".story")).to_contain_text("robots.txt")
    expect(page.locator(".story")).to_contain_text(row["warc_file"])
    page.get_by_role("link", name="its triplets").click()
    expect(page.locator(".record")).to_contain_text(row["url"])


def test_what_is_like_a_picture_is_shown_beside_it(visit: Visit, address: str, out: Path):
    page = visit.page
    away = next(row for row in table_rows(out, "images", "rejects-") if row["reason"] == "near_duplicate")
    page.goto(f"{address}/item?name={away['detail'].partition(',')[0]}")
    expect(page.get_by_role("heading", name="Like it")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.get_by_alt_text("a picture turned away for it").first.evaluate("image => image.naturalWidth") > 0


def test_shards_are_verified_with_progress_from_the_page(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/shards")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#verification progress")).to_be_visible()
    expect(page.locator("#verification .check")).to_contain_text("no fault", timeout=60_000)


def test_the_trainer_steps_on_and_a_denoiser_shows_what_it_makes_of_it(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/trainer?batch=3&seed=2")
    expect(page.locator(".trio img.pixels")).to_have_count(3, timeout=60_000)
    expect(page.locator(".duo")).to_have_count(4, timeout=60_000)
    page.get_by_role("link", name="next step").click()
    page.wait_for_url(re.compile("position=3"))
    expect(page.locator("main")).to_contain_text("position 3 of")


def test_a_word_is_chosen_and_the_model_says_what_it_expects_behind_it(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/trainer?stage=windows&batch=2")
    page.locator(".texts li").first.locator("a.chip").nth(4).click()
    page.wait_for_url(re.compile("at=4"))
    expect(page.locator(".chip.chosen")).to_have_count(1)
    expect(page.locator(".chart tr")).not_to_have_count(0, timeout=60_000)
    expect(page.locator(".chart tr.actual")).to_contain_text("came")


def test_loss_curves_are_drawn(visit: Visit, address: str):
    page = visit.page
    page.goto(address)
    expect(page.locator(".curve canvas").first).to_be_visible()


def test_two_builds_are_compared_down_to_the_pictures(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/diff")
    summary = page.locator("details.only summary").first
    summary.click(timeout=60_000)
    expect(page.locator("details.only[open] .tile").first).to_be_visible()


def test_search_by_word_key_and_address(visit: Visit, address: str, out: Path):
    page = visit.page
    row = table_rows(out, "images", "images-")[200]
    page.goto(address)
    for q in (row["url"], row["key"], row["caption"]):
        page.keyboard.press("/")
        page.locator("#q").fill(q)
        page.keyboard.press("Enter")
        expect(page.locator("main").get_by_role("link", name=row["url"], exact=True).first).to_be_visible()
    page.locator("main").get_by_role("link", name=row["url"], exact=True).first.click()
    expect(page.locator(".story")).to_contain_text(row["key"])


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_what_is_listed_is_taken_along(visit: Visit, address: str, form: str):
    page = visit.page
    page.goto(f"{address}/pictures?licence=CC0-1.0")
    with page.expect_download() as download:
        page.get_by_role("link", name=form).click()
    assert download.value.suggested_filename == f"pictures.{form.lower()}"
    assert Path(download.value.path()).stat().st_size > 1_000


def test_forget_prepares_its_command(visit: Visit, address: str, out: Path):
    page = visit.page
    page.goto(f"{address}/triplet")
    page.get_by_role("link", name="forget it").click()
    expect(page.locator("#command")).to_contain_text(f"seedbed forget {out} --url ")
    expect(page.locator("main")).to_contain_text("This page takes nothing away.")


def test_the_keys_are_listed(visit: Visit, address: str):
    page = visit.page
    page.goto(f"{address}/triplets")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_planted_strings_do_nothing_wherever_they_stand(visit: Visit, address: str, out: Path):
    page = visit.page
    beginnings = tuple(planted[:12] for planted in PLANTED)
    tables = (("text", "documents-", "title"), ("images", "images-", "caption"))
    urls = [
        row["url"]
        for stage, prefix, column in tables
        for row in table_rows(out, stage, prefix)
        if any(beginning in row[column] for beginning in beginnings)
    ]
    assert len(urls) > 20
    for url in urls[:40]:
        for view in ("item?name=", "record?url=", "search?q="):
            page.goto(f"{address}/{view}{quote(url, safe='')}")
            visit.check_quiet()


def _settled(page: Page) -> None:
    """Waits until the picture of the level that is told stands."""
    page.wait_for_function(
        "() => { const image = document.querySelector('#noisy'), value = document.querySelector('#percent').value;"
        " return image.complete && image.src.endsWith(`percent=${value}`); }"
    )


def _pixels(page: Page, selector: str) -> str:
    """The pixels of a picture, as text."""
    drawn: str = page.locator(selector).evaluate(
        """async image => {
            await image.decode();
            const canvas = Object.assign(document.createElement("canvas"), {width: 16, height: 16});
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0, 16, 16);
            return [...context.getImageData(0, 0, 16, 16).data].join(" ");
        }"""
    )
    return drawn
