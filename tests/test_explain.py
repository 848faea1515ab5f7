"""`seedbed explain` tells of every URL what the build knows of it."""

import re
from pathlib import Path

import pytest

from tests.builds import seedbed

HOME = "http://arboretum.example"
PICTURES = "http://pictures.example"


def _told(out: Path, url: str, status: int = 0) -> list[tuple[str, str]]:
    """What is said, line by line: about what, and the words."""
    done = seedbed("explain", out, url)
    assert done.returncode == status, done.stdout + done.stderr
    return [(line[:11].strip(), line[13:]) for line in done.stdout.splitlines()]


def test_a_picture_is_followed_from_its_page_to_its_samples(built: Path):
    told = _told(built, f"{PICTURES}/trees/weeping-willow/210.jpg")
    facts = dict(told)
    assert facts["found on"].startswith(
        f"{HOME}/trees/weeping-willow/story.html (image, depth 3, source arboretum, alt"
    )
    assert "licence CC0-1.0 (https://creativecommons.org/publicdomain/zero/1.0/)" in facts["found on"]
    assert facts["robots.txt"] == "no rule covers it: allowed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: status 200, image/jpeg", facts["asked"])
    assert facts["crawl"] == "kept"
    assert re.match(r"kept as [0-9a-f]{32}, split \w+, in .*part-\d{6}\.tar, offset \d+$", facts["images"])
    assert re.fullmatch(r"kept: drawn-tree [01]\.\d{4}, model ([0-9a-f]{12}|none)", facts["score"])
    assert facts["triplets"].startswith("5 samples: ")
    assert [about for about, _ in told][-4:] == ["crawl", "images", "score", "triplets"]


@pytest.mark.parametrize(
    ("url", "about", "said"),
    [
        (f"{HOME}/private/ledger.html", "robots.txt", "Disallow: /private/"),
        (f"{HOME}/private/ledger.html", "asked", "never"),
        (f"{HOME}/owls.html", "opt-outs", "noai"),
        (f"{HOME}/owls.html", "crawl", "rejected (opted_out_noai)"),
        (f"{HOME}/oak", "redirect", f"to {HOME}/trees/english-oak/portrait.html"),
        (f"{HOME}/trees/english-oak/portrait.html", "redirect", f"from {HOME}/oak"),
        (f"{PICTURES}/missing.jpg", "crawl", "failed (http_404)"),
        (f"{HOME}/", "found on", "nowhere: the source begins with it (page, depth 0, source arboretum)"),
        (f"{HOME}:80/#top", "text", "rejected (too_few_words: 19 < 25 at a quick look)"),
    ],
)
def test_whatever_became_of_a_url_is_said(built: Path, url: str, about: str, said: str):
    assert (about, said) in _told(built, url)


def test_a_page_is_followed_to_its_windows(built: Path):
    facts = dict(_told(built, f"{HOME}/trees/weeping-willow/story.html"))
    assert facts["text"].startswith("kept as ")
    assert re.match(r"\d+ samples: [0-9a-f]{32} in \w+-\d{6}\.tar", facts["windows"])


def test_a_url_that_was_never_met_is_said_to_be_so(built: Path):
    told = _told(built, "http://nowhere.example/", status=1)
    assert told[-1] == ("never met", "no page and no source of this crawl leads there")


def test_a_link_out_of_reach_was_never_asked_for(built: Path):
    """The arboretum links to a site that is not its own."""
    told = dict(_told(built, "https://creativecommons.org/publicdomain/zero/1.0/"))
    assert "never asked" in told


def test_a_file_of_a_folder_and_what_is_wrong_with_another_are_told(tmp_path: Path):
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees" / "oak.txt").write_text("The old oak stands at the edge of the grove.")
    (tmp_path / "trees" / "elm.txt").touch()
    source = f"crawl.sources={{disk: {{source: folder, path: '{tmp_path}/trees'}}}}"
    out = tmp_path / "out"
    assert not seedbed(
        "crawl", "site", "--out", out, "--set", "contact=gardener@example.org", "--set", source
    ).returncode
    assert ("crawl", "kept") in _told(out, "file:///trees/oak.txt")
    assert ("crawl", "failed (empty: elm.txt: )") in _told(out, "file:///trees/elm.txt")


def test_what_is_no_url_or_no_build_is_refused(built: Path, tmp_path: Path):
    assert "'oak' is no address" in seedbed("explain", built, "oak").stderr
    assert "nothing was crawled there" in seedbed("explain", tmp_path, HOME).stderr
