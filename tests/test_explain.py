"""`seedbed explain` tells of every URL what the build knows of it."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from crawl.warc import read_record
from shards import open_dataset
from tests.builds import manifest_of, seedbed, table_rows

HOME = "http://arboretum.example"
PICTURES = "http://pictures.example"


WINDOW = r"(\w{32}) in (\w+-\d{6}\.tar): tokens (\d+) to (\d+) of the document, at (\d+) of the window"


def _told(out: Path, url: str, *options: str, status: int = 0) -> list[tuple[str, str]]:
    """What is said, line by line: about what, and the words."""
    done = seedbed("explain", out, url, *options)
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
        (f"{HOME}:80/#top", "text", "rejected (too_few_words: 19 < 50)"),
    ],
)
def test_whatever_became_of_a_url_is_said(built: Path, url: str, about: str, said: str):
    assert (about, said) in _told(built, url)


def test_a_page_is_followed_to_every_window_that_holds_it(built: Path):
    url = f"{HOME}/trees/weeping-willow/story.html"
    told = _told(built, url, "--all")
    facts = dict(told)
    (row,) = (row for row in table_rows(built, "text", "documents-") if row["url"] == url)
    split = row["split"]
    assert facts["text"].startswith(f"kept as {row['key']}, split {split}, {row['num_words']} words, language en, in ")
    dataset = open_dataset(built / "windows", split)
    held = {}
    for number in range(len(dataset)):
        sample = dataset[number]
        for piece in (piece for piece in sample["meta"]["documents"] if piece["key"] == row["key"]):
            last = piece["start"] + piece["length"] - 1
            held[sample["key"]] = (piece["start"], last, piece["offset"])
    found = [re.fullmatch(WINDOW, said) for about, said in told if about == "window"]
    assert {each[1]: tuple(map(int, each.groups()[2:])) for each in found if each} == held
    assert [int(each[3]) for each in found if each] == sorted(start for start, _, _ in held.values())
    last = max(last for _, last, _ in held.values())
    assert facts["windows"] == f"{len(held)} hold its tokens 0 to {last}, <eos> included"
    few = _told(built, url)
    assert few[-1] == ("", f"and {len(held) - 5} more; --all tells them")
    assert [said for about, said in few if about == "window"] == [s for about, s in told if about == "window"][:5]


def test_a_window_is_followed_back_to_the_bytes_of_its_pages(built: Path):
    dataset = open_dataset(built / "windows", "train")
    sample = next(
        sample for sample in (dataset[n] for n in range(len(dataset))) if len(sample["meta"]["documents"]) > 1
    )
    told = _told(built, sample["key"])
    meta = sample["meta"]
    what = f"{meta['length']} tokens from {meta['position']} of the split train on"
    assert told[0] == ("window", f"{sample['key']}: {what}")
    assert told[1][0] == "stored"
    tar, _, offset = told[1][1].partition(", offset ")
    with Path(tar).open("rb") as file:
        file.seek(int(offset))
        assert np.array_equal(np.load(file), sample["tokens"])
    pages = [said.partition(", offset ") for about, said in told if about == "page"]
    urls = [said for about, said in told if about == "URL"]
    assert urls == [piece["url"] for piece in meta["documents"]]
    for (warc, _, offset), url in zip(pages, urls, strict=True):
        assert read_record(warc, int(offset)).url == url


def test_the_key_of_a_document_a_picture_or_a_sample_tells_the_story_of_its_url(built: Path):
    for stage, prefix, more in (("text", "documents-", ""), ("images", "images-", ""), ("images", "images-", "-k2-d0")):
        row = table_rows(built, stage, prefix)[0]
        assert _told(built, row["key"] + more) == _told(built, row["url"])
    assert _told(built, 32 * "0", status=1) == [
        ("never met", "no window, document, picture or sample here has that key")
    ]


def test_every_window_of_a_build_leads_by_its_documents_to_the_bytes_of_their_pages(built: Path):
    rows = {row["key"]: row for row in table_rows(built, "text", "documents-")}
    crawl = built / "crawl" / manifest_of(built, "crawl").fingerprint
    met = set()
    for split in manifest_of(built, "windows").splits:
        dataset = open_dataset(built / "windows", split)
        for sample in (dataset[number] for number in range(len(dataset))):
            met |= {(piece["key"], piece["url"], split) for piece in sample["meta"]["documents"]}
    assert met == {(key, row["url"], row["split"]) for key, row in rows.items()}
    for row in rows.values():
        record = read_record(crawl / row["warc_file"], row["warc_offset"])
        assert (record.url, hashlib.sha256(record.payload).hexdigest()) == (row["url"], row["sha256"])


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
