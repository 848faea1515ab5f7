"""What people do on the inspection page: every view, by mouse, by keys and by address."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipelines.found_samples import host_of
from shards import open_dataset
from shards.dataset import TripletDataset, WindowDataset
from tests.builds import manifest_of, table_rows
from tests.inspected_builds import are_drawn, pixels, settle
from tests.virtual_samples import SIDE

VIEWS = "nav[aria-label=Views]"
TRIPLET = re.compile(r"/triplet\?.*key=([0-9a-f]{32}-k\d-d0)")


@pytest.fixture
def out(gardens: tuple[Path, Path]) -> Path:
    """The build that is shown."""
    return gardens[0]


def test_the_first_view_tells_what_was_built_from_what(page: Page, out: Path):
    page.goto("/")
    expect(page).to_have_title("Overview \u00b7 garden \u00b7 Seedbed")
    for stage in ("crawl", "images", "text", "triplets", "windows"):
        row = page.locator("table.stages tr").filter(has=page.get_by_role("rowheader", name=stage, exact=True))
        counts = manifest_of(out, stage).counts
        assert row.locator("td.number").all_inner_texts()[:2] == [f"{counts.records_in:,}", f"{counts.kept:,}"]
    settle(page)
    rows = table_rows(out, "images", "images-")
    for licence in ("CC-BY-4.0", "CC0-1.0"):
        line = page.locator(".chart tr").filter(has=page.get_by_role("rowheader", name=licence, exact=True))
        expect(line.locator(".number")).to_have_text(str(sum(row["licence"] == licence for row in rows)))
    expect(page.locator(".curve .plot canvas")).to_have_count(2)


def test_every_tab_opens_by_a_click_and_says_where_one_is(page: Page):
    page.goto("/")
    names = [name.strip() for name in page.locator(f"{VIEWS} a").all_inner_texts()]
    assert {"Overview", "Triplets", "Windows", "Funnel", "Trainer", "Shards", "Diff"} <= set(names)
    for name in names:
        page.locator(VIEWS).get_by_role("link", name=name, exact=True).click()
        expect(page.locator(f"{VIEWS} [aria-current=page]")).to_have_text(name)
        expect(page.locator("section.troubles")).to_have_count(0)
        settle(page)


def test_the_grid_shows_triplets_and_leads_to_one(page: Page):
    page.goto("/triplets")
    assert are_drawn(page, ".grid img.strip")
    page.locator(".grid a").nth(2).click()
    page.wait_for_url(TRIPLET)
    expect(page.locator("#panels img")).to_have_count(3)


def test_filters_by_step_licence_host_and_word_are_addresses(page: Page, out: Path):
    rows = [row for row in table_rows(out, "images", "images-") if row["split"] == "train"]
    page.goto("/triplets")
    page.locator("select[name=licence]").select_option("CC0-1.0")
    page.wait_for_url("**licence=CC0-1.0*")
    page.locator("select[name=step]").select_option("3")
    page.wait_for_url("**step=3*")
    chosen = [row for row in rows if row["licence"] == "CC0-1.0"]
    expect(page.locator("nav[aria-label=Pages]")).to_contain_text(f"of {len(chosen)}")
    told = page.locator(".tile > .soft").all_inner_texts()
    assert told
    assert all("60 %" in each and "CC0-1.0" in each for each in told)
    page.locator("input[name=word]").fill("SNOW")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**word=SNOW*")
    chosen = [row for row in chosen if "snow" in row["caption"]]
    expect(page.locator("nav[aria-label=Pages]")).to_contain_text(f"of {len(chosen)}")
    host = host_of(chosen[0]["url"])
    page.locator("select[name=host]").select_option(host)
    page.wait_for_url(f"**host={host}*")
    shown = page.locator(".tile .caption").all_inner_texts()
    assert sorted(shown) == sorted(row["caption"] for row in chosen if host_of(row["url"]) == host)
    with _beside(page) as other:
        assert other.locator(".tile .caption").all_inner_texts() == shown, "an address is all that a state needs"


@contextmanager
def _beside(page: Page) -> Iterator[Page]:
    """The same address in a page that was not there before."""
    other = page.context.new_page()
    other.goto(page.url)
    yield other
    other.close()


def test_pages_of_a_grid_go_on_and_back_and_keep_the_filter(page: Page):
    page.goto("/triplets?step=2")
    first = page.locator(".tile .caption").all_inner_texts()
    page.get_by_role("link", name="next").click()
    page.wait_for_url("**first=*")
    assert "step=2" in page.url
    assert page.locator(".tile img").first.get_attribute("src") not in first
    page.keyboard.press("p")
    page.wait_for_url(lambda url: "first=" not in url)
    assert page.locator(".tile .caption").all_inner_texts() == first
    page.go_back()
    page.wait_for_url("**first=*")


def test_keys_lead_through_the_grid_into_a_sample_and_back(page: Page):
    page.goto("/triplets")
    links = page.locator(".grid a")
    page.keyboard.press("ArrowRight")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(TRIPLET)
    here = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != here)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(here)
    page.keyboard.press("g")
    page.wait_for_url("**/triplets*")


def _open_triplet(page: Page, out: Path) -> tuple[TripletDataset, str]:
    page.goto("/triplets?step=2")
    page.locator(".grid a").first.click()
    page.wait_for_url(TRIPLET)
    dataset, key = open_dataset(out / "triplets"), TRIPLET.search(page.url)
    assert isinstance(dataset, TripletDataset)
    assert key is not None
    return dataset, key[1]


def _sample(dataset: TripletDataset | WindowDataset, key: str) -> dict[str, object]:
    return next(sample for sample in map(dataset.__getitem__, range(len(dataset))) if sample["key"] == key)


def test_the_slider_goes_from_the_clean_picture_to_static_and_meets_the_rungs(page: Page, out: Path):
    dataset, key = _open_triplet(page, out)
    expect(page.locator("#level")).to_have_text("40 %")
    of_step_2 = pixels(page, "#noisy")
    slider = page.get_by_label("ladder")
    seen = {}
    for percent in ("0", "40", "73", "100"):
        slider.fill(percent)
        expect(page.locator("#level")).to_have_text(f"{percent} %")
        page.wait_for_function("p => document.querySelector('#noisy').src.endsWith(`percent=${p}`)", arg=percent)
        page.wait_for_load_state("networkidle")
        seen[percent] = pixels(page, "#noisy")
    assert seen["0"] == _sample(dataset, key)["clean"].reshape(-1, 3).tolist()  # type: ignore[attr-defined]
    assert seen["0"] == pixels(page, "#panels figure:nth-child(2) img")
    assert seen["40"] == of_step_2
    assert len({str(value) for value in seen.values()}) == 4
    page.keyboard.press("Escape")
    page.locator("h1").click(force=True, position={"x": 1, "y": 1})
    page.keyboard.press("7")
    expect(page.locator("#level")).to_have_text("70 %")
    page.keyboard.press("c")
    expect(page.locator("#level")).to_have_text("0 %")


def test_zoom_shows_eight_screen_pixels_for_one(page: Page, out: Path):
    _open_triplet(page, out)
    page.get_by_role("button", name="\u00d78").click()
    for image in page.locator("#panels img").all():
        box = image.bounding_box()
        assert box is not None
        assert box["width"] == box["height"] == 8 * SIDE
    assert page.locator("#panels img").first.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="\u00d71")).to_have_attribute("aria-pressed", "true")


def test_the_noise_is_ticked_and_drawn_against_the_normal_curve(page: Page, out: Path):
    dataset, key = _open_triplet(page, out)
    expect(page.locator(".check.yes")).to_have_count(1)
    assert page.locator("svg.histogram rect").count() > 10
    expect(page.locator("svg.histogram polyline")).to_have_count(1)
    steps = page.locator("ol.rungs a")
    expect(steps).to_have_count(dataset.spec.steps)
    steps.nth(4).click()
    page.wait_for_url(f"**key={key[:32]}-k5-d0*")
    expect(page.locator("#level")).to_have_text("100 %")


def test_a_window_shows_the_next_word_on_hover_unknown_words_and_document_bounds(page: Page, out: Path):
    page.goto("/windows")
    page.locator(".texts a").nth(3).click()
    page.wait_for_url("**/window?**key=*")
    key = re.search(r"key=([0-9a-f]{32})", page.url)
    assert key is not None
    dataset = open_dataset(out / "windows")
    assert isinstance(dataset, WindowDataset)
    sample = _sample(dataset, key[1])
    tokens = [dataset.tokenizer.token(token) for token in sample["tokens"][: sample["length"]].tolist()]  # type: ignore[index]
    chips = page.locator("p.chips .chip")
    expect(chips).to_have_count(len(tokens))
    for number in (0, 5, len(tokens) - 2):
        chips.nth(number).hover()
        said = chips.nth(number).evaluate("chip => getComputedStyle(chip, '::after').content")
        assert tokens[number + 1] in said
    pieces = sample["meta"]["documents"]  # type: ignore[index]
    expect(page.locator("p.chips .document")).to_have_count(len(pieces))
    expect(page.locator("p.chips .chip.unknown")).to_have_count(tokens.count("<unk>"))
    first = page.url
    page.keyboard.press("n")
    page.wait_for_url(lambda url: url != first)


def test_the_source_beside_a_window_leads_to_the_page_as_stored_shown_as_text(page: Page, out: Path):
    document = next(row for row in table_rows(out, "text", "documents-") if "seedbedPlanted=1<" in row["title"])
    dataset = open_dataset(out / "windows")
    window = next(
        sample
        for sample in map(dataset.__getitem__, range(len(dataset)))
        if sample["meta"]["documents"][0]["key"] == document["key"]
    )
    page.goto(f"/window?split=train&key={window['key']}")
    expect(page.locator("figure.text.kept mark").first).not_to_be_empty()
    page.get_by_role("link", name="the page as it was stored").first.click()
    page.wait_for_url("**/record?url=*")
    expect(page.locator("pre.source")).to_contain_text("<script>window.seedbedPlanted=1</script>")
    expect(page.locator("pre.source *")).to_have_count(0)
