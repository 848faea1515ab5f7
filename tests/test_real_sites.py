"""Four real web sites, served on loopback and built: exact counts, worked out by hand from their files.

The counts come from a parser, a resolver and a picture check written for this purpose only, which share no code with
the crawler. As in browsers, `https:/linuxmint.com/` is `https://linuxmint.com/`; and `campusMap.png`, which stands in a
link and in the `<img>` within it, is a picture. Which pages have too few words of their own was read off the pages.
"""

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from PIL import ExifTags, Image
from warcio.archiveiterator import ArchiveIterator

from crawl.minhash import hash_shingles, jaccard
from crawl.warc import read_payload
from shards import open_dataset
from shards.manifest import Counts
from shards.tokenizer import split_words
from tests.builds import manifest_of
from tests.loopback import SITE_FILES
from tests.real_sites import Built, built

ALL = {"images": {"size": 64}, "triplets": {"steps": 5}, "text": {}, "windows": {"tokenizer": "words", "context": 64}}


def build_treeid(stages: dict[str, Any], **crawl: Any) -> Any:
    return built("treeid.tar.gz", "treeid", "treeid.example", ["/trees/index.html"], stages, **crawl)


@pytest.fixture(scope="module")
def greeneville() -> Iterator[Built]:
    archive, root = "greeneville-walks.tar.gz", "greeneville-walks-html"
    with built(archive, root, "greeneville.example", ["/index.php"], ALL) as site:
        yield site


@pytest.fixture(scope="module")
def treeid() -> Iterator[Built]:
    with build_treeid(ALL) as site:
        yield site


@pytest.fixture(scope="module")
def handbook() -> Iterator[Built]:
    starts = ["/en-US/index.html", "/fr-FR/index.html"]
    with built("debian-handbook-en-fr.tar.gz", ".", "handbook.example", starts, ALL) as site:
        yield site


@pytest.fixture(scope="module")
def arboretum() -> Iterator[Built]:
    stages = {"text": ALL["text"], "windows": ALL["windows"]}
    with built("gwhs-arboretum.tar.gz", "gwhs-arboretum", "gwhs.example", ["/index.html"], stages) as site:
        yield site


@pytest.fixture(params=["greeneville", "treeid", "handbook", "arboretum"])
def site(request: pytest.FixtureRequest) -> Built:
    """Each of the sites in turn."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def num_windows(num_tokens: int, context: int = 64) -> int:
    """Windows of `context` words and the next that predict every token but the first, each once."""
    return 0 if num_tokens < 2 else (num_tokens - 2) // context + 1


def position_of(file: Path) -> dict[int, Any]:
    """What the EXIF data of a photograph say about where it was taken."""
    with Image.open(file) as image:
        return image.getexif().get_ifd(ExifTags.IFD.GPSInfo)


def test_greeneville_gives_exactly_these_counts(greeneville: Built):
    assert greeneville.counts("crawl") == Counts(154, 130, {"unwanted_type": 1}, {"http_404": 23})
    assert greeneville.fates() == {
        ("page", "kept", ""): 34,
        ("image", "kept", ""): 96,  # of 99: campusMap.png, handicappedSign.png and sign.png are missing
        ("page", "rejected", "unwanted_type"): 1,  # a photograph that is linked to and shown nowhere
        ("page", "failed", "http_404"): 20,
        ("image", "failed", "http_404"): 3,
    }
    # seven slides, signs and a logo, three pages of text, and five second photographs of the same twig or sheet
    turned_away = {"drawing": 7, "exact_duplicate": 6, "near_duplicate": 5, "text_banner": 3}
    assert greeneville.counts("images") == Counts(96, 75, turned_away, {})
    assert greeneville.counts("text") == Counts(
        34, 2, {"too_few_stop_words": 17, "too_few_words": 14, "too_few_sentences": 1}, {}
    )
    assert greeneville.counts("triplets") == Counts(75, 75, {}, {})
    assert greeneville.splits("triplets") == {"train": 355, "val": 5, "test": 15}
    assert greeneville.counts("windows") == Counts(2, 2, {}, {})
    assert greeneville.splits("windows") == {"train": 4}


def test_treeid_gives_exactly_these_counts(treeid: Built):
    assert treeid.counts("crawl") == Counts(24, 23, {}, {"http_404": 1})
    assert treeid.fates() == {
        ("page", "kept", ""): 4,
        ("image", "kept", ""): 19,
        ("image", "failed", "http_404"): 1,  # the srcset names silver-maple-2x without its .png
    }
    assert treeid.counts("images") == Counts(19, 19, {}, {})
    assert treeid.counts("text") == Counts(4, 1, {"too_few_sentences": 1, "too_few_words": 2}, {})
    assert treeid.splits("triplets") == {"train": 90, "val": 5}
    assert treeid.splits("windows") == {"train": 16}


def test_all_twenty_pictures_of_treeid_load_at_the_width_they_are_shown():
    with build_treeid({"images": {"size": 64}}, picture_width=400) as site:
        assert site.counts("crawl") == Counts(24, 24, {}, {})
        assert site.counts("images") == Counts(20, 20, {}, {})
        assert site.captions()["silver-maple.png"] == "Silver Maple Tree"


def test_the_handbook_gives_exactly_these_counts(handbook: Built):
    assert handbook.counts("crawl") == Counts(382, 382, {}, {})
    assert handbook.fates() == {("page", "kept", ""): 254, ("image", "kept", ""): 128}
    # screenshots, diagrams, numbered circles, and the logos that stand on every page; 8 have photographs in them
    turned_away = {"drawing": 82, "exact_duplicate": 25, "too_small": 9, "on_many_pages": 4}
    assert handbook.counts("images") == Counts(128, 8, turned_away, {})
    # Kali, PureOS and SteamOS have less than 50 words of their own, in both languages; 7 chapters are not translated,
    # and of 11 little; two print tables of firewall rules.
    rejected = {"duplicate_5_grams": 2, "near_duplicate": 11, "too_few_words": 6, "same_text": 7}
    assert handbook.counts("text") == Counts(254, 228, rejected, {})
    assert handbook.splits("triplets") == {"train": 35, "val": 5}
    assert handbook.splits("windows") == {"train": 4451, "val": 328, "test": 315}
    away = [link for link in handbook.rows("crawl", "links-") if urlsplit(link["to_url"]).hostname != handbook.host]
    assert (len(away), len({link["to_url"] for link in away})) == (2 * 526, 269)
    assert {link["kind"] for link in away} == {"page"}


def test_a_site_gives_text_alone_where_the_recipe_asks_for_text_alone(arboretum: Built):
    assert arboretum.counts("crawl") == Counts(11, 11, {}, {})
    assert arboretum.fates() == {("page", "kept", ""): 11}
    assert arboretum.counts("text") == Counts(11, 4, {"too_few_words": 4, "too_few_sentences": 3}, {})
    assert arboretum.splits("windows") == {"train": 6}
    assert sorted(path.name for path in arboretum.out.iterdir() if path.is_dir()) == ["crawl", "text", "windows"]


def test_every_url_is_asked_for_once_and_the_files_of_the_site_first(site: Built):
    ledger = site.rows("crawl", "ledger-")
    assert tuple(site.paths[:3]) == SITE_FILES
    assert Counter(f"http://{site.host}{path}" for path in site.paths[3:]) == Counter(row["url"] for row in ledger)


def test_every_payload_is_in_the_warc_files_as_it_was_served(site: Built):
    crawl = site.out / "crawl" / manifest_of(site.out, "crawl").fingerprint
    for row in site.rows("crawl", "ledger-"):
        if row["fate"] == "kept":
            served = (site.root / unquote(urlsplit(row["url"]).path).lstrip("/")).read_bytes()
            assert read_payload(crawl / row["warc_file"], row["warc_offset"]) == served
    for warc in crawl.glob("*.warc.gz"):
        with gzip.open(warc) as members:
            while members.read(1 << 20):
                pass
        with warc.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                record.content_stream().read()


def test_every_record_says_where_it_came_from(site: Built):
    ledger = {row["url"]: row for row in site.rows("crawl", "ledger-")}
    images = site.rows("images", "images-") if (site.out / "images").exists() else []
    for row in [*images, *site.rows("text", "documents-")]:
        source = ledger[row["url"]]
        carried = ("sha256", "warc_file", "warc_offset", "fetched_at", "robots_rule", "opt_out")
        assert [row[name] for name in carried] == [source[name] for name in carried]
        assert (row["licence"], row["licence_url"], row["author"]) == ("unknown",) * 3
        assert (row["robots_rule"], row["opt_out"], source["status"]) == ("none", "none", 200)
    for row in images:
        assert (urlsplit(row["page_url"]).path, "image") in site.linked_from(urlsplit(row["url"]).path)


def test_five_triplets_are_made_of_every_picture_in_its_split(greeneville: Built, treeid: Built, handbook: Built):
    for site in (greeneville, treeid, handbook):
        pictures = Counter(row["split"] for row in site.rows("images", "images-"))
        assert site.splits("triplets") == {split: 5 * number for split, number in pictures.items()}
        assert site.counts("triplets").kept == pictures.total()


def test_windows_are_as_many_as_the_words_of_a_split_need(site: Built):
    tokens: Counter[str] = Counter()
    for row in site.rows("text", "documents-"):
        tokens[row["split"]] += len(split_words(row["text"])) + 1  # <eos>
    assert site.splits("windows") == {split: num_windows(number) for split, number in tokens.items()}
    for split, number in tokens.items():
        dataset = open_dataset(site.out / "windows", split)
        assert sum(dataset[window]["meta"]["length"] - 1 for window in range(len(dataset))) == number - 1


def test_what_is_not_there_stands_in_the_ledger_with_the_pages_that_name_it(greeneville: Built, treeid: Built):
    assert greeneville.fate("/trail1/boxwood.php") == ("page", "failed", "http_404")  # the folder is called Trail1
    assert greeneville.linked_from("/trail1/boxwood.php") == {("/trail1.php", "page")}
    assert greeneville.fate("/miscImages/sign.png") == ("image", "failed", "http_404")
    assert greeneville.linked_from("/miscImages/sign.png") == {("/history.php", "image")}
    assert greeneville.fate("/miscImages/campusMap.png") == ("image", "failed", "http_404")
    assert greeneville.linked_from("/miscImages/campusMap.png") == {("/trails.php", "page"), ("/trails.php", "image")}
    assert greeneville.fate("/miscImages/campusimage.jpg") == ("page", "rejected", "unwanted_type")
    assert greeneville.linked_from("/miscImages/campusimage.jpg") == {("/index.php", "page")}
    assert treeid.fate("/trees/images/silver-maple-2x") == ("image", "failed", "http_404")
    assert treeid.linked_from("/trees/images/silver-maple-2x") == {("/trees/info.html", "image")}


def test_where_a_photograph_was_taken_does_not_come_along(greeneville: Built):
    paths = [unquote(urlsplit(row["url"]).path) for row in greeneville.rows("images", "images-")]
    located = [path for path in paths if position_of(greeneville.root / path.lstrip("/"))]
    assert (len(paths), len(located)) == (75, 41)
    pictures = list(greeneville.pictures())
    assert len(pictures) == 75
    assert all((picture.size, picture.mode, picture.info) == ((64, 64), "RGB", {}) for picture in pictures)


def test_captions_say_what_a_picture_shows_or_nothing(greeneville: Built, treeid: Built, handbook: Built):
    said = {name: caption for name, caption in greeneville.captions().items() if caption}
    assert said == {"campusimage2.jpg": "WSCC contractor image"}  # the rest say "..."
    leaves = {name: caption for name, caption in treeid.captions().items() if "leaf" in name}
    assert leaves["ginkgo-leaf.png"] == "Ginkgo Leaf"  # "Two Lobes" where leaves are told apart
    assert leaves["locust-leaf.png"] == "Honey Locust Leaf"
    assert all(handbook.captions().values())
    assert "Le bureau Xfce" in handbook.captions().values()


def test_the_text_is_in_order_in_paragraphs_and_without_menus(
    greeneville: Built, treeid: Built, handbook: Built, arboretum: Built
):
    assert greeneville.texts()["/trails.php"].split("\n\n")[:2] == [
        "Greeneville WALKS",
        "Choose from one of the pre-mapped walking trails beginning at WSCC's Niswonger Campus",
    ]
    paragraphs = treeid.texts()["/trees/info.html"].split("\n\n")
    assert paragraphs[:3] == ["London Planetree", "Platanus × acerifolia", "General Info"]
    assert paragraphs[4].startswith("Often hard to distinguish from American Sycamore.")
    dhcp = handbook.texts()["/en-US/sect.dhcp.html"]
    assert "\n\n# My subnet\nsubnet 192.168.0.0 netmask 255.255.255.0 {\n    option routers 192.168.0.1;\n" in dhcp
    assert handbook.texts()["/fr-FR/sect.quotas.html"].startswith("9.9. Les quotas\n\nLe système des quotas permet de")
    maple = arboretum.texts()["/aceraceae/red_maple.html"]
    assert maple.startswith("Red Maples\n\nAcer rubrum, the red maple, also known as swamp maple, ")
    assert maple.endswith("in eastern North America.\nInfo from Wikipedia")


def test_no_line_of_these_sites_is_taken_for_boilerplate(site: Built):
    assert {row["num_boilerplate_lines"] for row in site.rows("text", "documents-")} == {0}


def test_no_two_texts_of_different_splits_are_much_alike(site: Built):
    rows = site.rows("text", "documents-")
    shingles = [hash_shingles(row["text"]) for row in rows]
    pairs = itertools.combinations(zip(rows, shingles, strict=True), 2)
    apart = [jaccard(one, other) for (row, one), (twin, other) in pairs if row["split"] != twin["split"]]
    assert max(apart, default=0.0) <= 0.8


def test_the_handbook_is_in_two_languages_whatever_it_declares(handbook: Built):
    found = Counter((row["url"].split("/")[3], row["language"]) for row in handbook.rows("text", "documents-"))
    assert found == {("en-US", "en"): 115, ("fr-FR", "fr"): 82, ("fr-FR", "en"): 31}
