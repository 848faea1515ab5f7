"""What people do on the inspection page with what was turned away, single items, shards, models and two builds."""

import csv
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from pipelines.inspect.difference import compare_records
from shards import open_dataset
from tests.builds import manifest_of, table_rows
from tests.inspected_builds import are_drawn, settle
from tests.test_difference import version

VIEWS = "nav[aria-label=Views]"
TRIPLET = re.compile(r"/triplet\?.*key=([0-9a-f]{32}-k\d-d0)")


@pytest.fixture
def out(gardens: tuple[Path, Path]) -> Path:
    """The build that is shown."""
    return gardens[0]


@pytest.mark.parametrize("reason", ["flat", "near_duplicate"])
def test_a_click_on_a_reason_shows_the_rejected_pictures_themselves(page: Page, out: Path, reason: str):
    page.goto("/funnel")
    number = manifest_of(out, "images").counts.rejected[reason]
    line = page.locator("#images .reasons li").filter(has_text=reason.replace("_", " "))
    expect(line.locator(".number")).to_have_text(str(number))
    line.get_by_role("link").click()
    page.wait_for_url(f"**/rejects?**{reason}*")
    assert are_drawn(page, ".grid.pictures img")
    rows = {row["key"]: row["detail"] for row in table_rows(out, "images", "rejects-") if row["reason"] == reason}
    tiles = page.locator(".grid.pictures .tile")
    for tile in tiles.all()[:4]:
        assert rows[tile.locator(".address").inner_text()] == tile.locator(".soft").first.inner_text()
    tiles.filter(has_not_text="seedbedPlanted").first.locator("a").first.click()
    page.wait_for_url("**/item?name=*")
    expect(page.locator(".story")).to_contain_text(reason)


def test_rejected_texts_stand_beside_those_that_were_kept(page: Page):
    page.goto("/funnel")
    page.locator("#text .reasons li").filter(has_text="too few words").get_by_role("link").click()
    page.wait_for_url("**too_few_words*")
    expect(page.locator("figure.text.away").first).to_be_visible()
    expect(page.locator("figure.text.kept").first).to_be_visible()


def test_an_item_tells_every_decision_from_url_to_sample(page: Page, out: Path):
    row = next(row for row in table_rows(out, "images", "images-") if row["split"] == "train")
    page.goto("/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type(row["key"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    page.get_by_role("link", name=row["url"], exact=True).first.click()
    page.wait_for_url("**/item?name=*")
    story = page.locator(".story")
    for told in ("robots.txt", "opt-outs", row["key"], "crawl-00000.warc.gz", "offset"):
        expect(story).to_contain_text(told)
    expect(page.locator("main")).to_contain_text(f"https://licences.example/{row['licence']}")
    assert are_drawn(page, "figure.shown img")
    page.get_by_role("link", name="its triplets").click()
    page.wait_for_url(f"**key={row['key']}-k1-d0*")


def test_search_finds_by_word_by_address_and_says_when_there_is_nothing(page: Page, out: Path):
    page.goto("/")
    page.locator("#q").fill("behind the house")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=behind*")
    assert page.locator(".hits li").count() > 5
    url = table_rows(out, "text", "documents-")[3]["url"]
    page.locator("#q").fill(url)
    page.keyboard.press("Enter")
    expect(page.locator(".hits li a").first).to_be_visible()
    assert url in page.locator(".hits li").all_inner_texts()[0]
    page.locator("#q").fill("<img src=x onerror=alert(1)>")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("<img src=x onerror=alert(1)>")


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_what_a_filter_shows_can_be_taken_along(page: Page, out: Path, form: str, tmp_path: Path):
    page.goto("/triplets?licence=CC0-1.0")
    with page.expect_download() as download:
        page.get_by_role("link", name=form, exact=True).click()
    download.value.save_as(tmp_path / "taken")
    expected = {
        row["key"]
        for row in table_rows(out, "images", "images-")
        if row["licence"] == "CC0-1.0" and row["split"] == "train"
    }
    if form == "CSV":
        rows = list(csv.DictReader(io.StringIO((tmp_path / "taken").read_text("utf-8"))))
    else:
        rows = pq.read_table(tmp_path / "taken").to_pylist()
    assert {row["key"] for row in rows} == expected


def test_forget_prepares_the_command_and_takes_nothing_away(page: Page, out: Path):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    row = next(row for row in table_rows(out, "images", "images-") if "trees-33" in row["url"])
    page.goto(f"/item?name={row['key']}")
    page.get_by_role("link", name="forget it").first.click()
    page.wait_for_url("**/forget?**")
    command = page.locator("#command").inner_text()
    assert command.startswith("seedbed forget ")
    assert row["url"] in command
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == command
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_shards_are_verified_from_the_page_with_progress(page: Page):
    page.goto("/shards")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#verification progress")).to_be_visible()
    expect(page.locator("#verification .check.yes")).to_have_text(re.compile("no fault"), timeout=60_000)
    expect(page.locator("#verification")).to_contain_text("every byte read")


def test_the_trainer_sees_the_next_batch_and_goes_step_by_step(page: Page, out: Path):
    page.goto("/trainer?stage=triplets&noise=stored&batch=6&seed=5&position=12&rank=1&world=2")
    dataset = open_dataset(out / "triplets")
    loader = dataset.loader(6, seed=5, rank=1, world_size=2)
    loader.load_state_dict(loader.state_dict() | {"position": 12})
    for batch, _ in zip(loader, range(2), strict=False):
        shown = page.locator(".grid > .tile > a").evaluate_all(
            "all => all.map(a => new URL(a.href).searchParams.get('key'))"
        )
        assert shown[:6] == [str(key) for key in batch["key"]]
        page.get_by_role("link", name="next step").click()
        page.wait_for_load_state("load")


def test_a_trained_denoiser_is_shown_at_work(page: Page):
    page.goto("/trainer?stage=triplets&batch=3&run=trees")
    settle(page)
    assert are_drawn(page, ".trio img")
    assert are_drawn(page, ".duo img")
    expect(page.locator("main")).to_contain_text("levels away")


def test_a_trained_language_model_tells_the_next_word_after_the_one_chosen(page: Page):
    page.goto("/trainer?stage=windows&batch=2&run=words")
    settle(page)
    shares = [float(text.split()[0]) for text in page.locator(".chart td.number").all_inner_texts()]
    assert len(shares) > 5
    assert 0 < sum(shares) <= 100.6
    assert shares[:-1] == sorted(shares[:-1], reverse=True)
    word = page.locator(".texts li").nth(1).locator("a.chip").nth(4)
    chosen = word.inner_text()
    word.click()
    page.wait_for_url("**at=4*")
    settle(page)
    expect(page.locator(".chip.chosen")).to_have_text(chosen)
    expect(page.locator(".context")).to_be_visible()


def test_two_builds_are_compared_down_to_the_pictures_that_were_lost(page: Page, gardens: tuple[Path, Path]):
    page.goto("/diff")
    settle(page)
    found = compare_records(version(gardens[1], "images"), version(gardens[0], "images"))
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="filters.one_of"))
    assert row.locator("td").all_inner_texts() == ["10", "20"]
    section = page.locator("section").filter(has=page.get_by_role("heading", name="images", exact=True))
    expect(section).to_contain_text(f"{found.num_kept:,} in both; 0 lost, {found.gained.counts.total()} new")
    only = section.locator("details.only")
    assert only.count() == len(found.gained.counts)
    only.first.locator("summary").click()
    assert are_drawn(page, "details.only[open] img")
    only.first.locator("a").first.click()
    page.wait_for_url("**/item?name=*")


def test_pictures_and_prose_have_views_of_their_own(page: Page, out: Path):
    page.goto("/pictures?licence=CC0-1.0")
    assert are_drawn(page, ".grid.pictures img")
    page.locator(".grid.pictures a").first.click()
    page.wait_for_url("**/item?name=*")
    page.goto("/prose")
    counts = manifest_of(out, "text").counts
    expect(page.locator("main")).to_contain_text(f"{counts.kept} documents of {counts.records_in} pages")


def test_the_keys_are_told_and_the_dialog_closes_again(page: Page):
    page.goto("/triplets")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("#q").focus()
    page.keyboard.type("?/gz")
    expect(page.locator("#q")).to_have_value("?/gz")
    expect(page.get_by_role("dialog")).to_have_count(0)
