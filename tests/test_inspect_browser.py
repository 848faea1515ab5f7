"""What only a browser shows of the inspection page: curves, neighbours, and that hostile text does nothing."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from shards import open_dataset
from tests.builds import table_rows
from tests.planted import PLANTED, TAINT
from tests.virtual_samples import SIDE


@pytest.fixture
def out(gardens: tuple[Path, Path]) -> Path:
    """The build that is shown."""
    return gardens[0]


def test_charts_come_when_the_page_stands_and_lead_to_what_they_count(page: Page, out: Path):
    page.goto("/")
    page.get_by_role("link", name="CC0-1.0").first.click()
    expect(page.locator("select[name=licence]")).to_have_value("CC0-1.0")
    rows = table_rows(out, "images", "images-")
    number = sum((row["licence"], row["split"]) == ("CC0-1.0", "train") for row in rows)
    expect(page.locator(".pager")).to_contain_text(f"of {5 * number:,}")


def test_loss_curves_are_drawn_of_every_run(page: Page):
    page.goto("/")
    expect(page.locator(".curve canvas")).to_have_count(2)


def test_level_and_zoom_stand_in_the_address(page: Page):
    page.goto("/triplet")
    page.keyboard.press("9")
    page.get_by_role("button", name="×8").click()
    page.wait_for_url(re.compile("percent=90.*zoom=8"))
    page.reload()
    expect(page.locator("#level")).to_have_text("90 %")
    expect(page.locator("#noisy")).to_have_attribute("width", str(8 * SIDE))


def test_neighbours_are_reached_by_arrows(page: Page, out: Path):
    dataset = open_dataset(out / "triplets")
    page.goto(f"/triplet?key={dataset[6]['key']}")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(dataset[7]["key"]))
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(dataset[6]["key"]))


def test_planted_strings_do_nothing_wherever_they_stand(page: Page, out: Path):
    beginnings = tuple(planted[:12] for planted in PLANTED)
    urls = [
        row["url"]
        for stage, prefix, column in (("text", "documents-", "title"), ("images", "images-", "caption"))
        for row in table_rows(out, stage, prefix)
        if any(beginning in row[column] for beginning in beginnings)
    ]
    assert len(urls) >= len(PLANTED)
    for url in urls[: len(PLANTED)]:
        for view in ("item?name=", "record?url=", "search?q="):
            page.goto(f"/{view}{quote(url, safe='')}")
            assert page.evaluate(f"window.{TAINT} ?? null") is None


def test_the_trainer_goes_from_one_kind_of_sample_to_the_other_and_back(page: Page):
    page.goto("/trainer")
    page.locator("select[name=stage]").select_option("windows")
    page.wait_for_url("**stage=windows*")
    expect(page.locator("select[name=run]")).to_have_value("words")
    page.locator("select[name=stage]").select_option("triplets")
    page.wait_for_url("**stage=triplets*")
    expect(page.locator("select[name=run]")).to_have_value("trees")
