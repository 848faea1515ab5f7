"""The embedded arboretum: its pictures, its words, its traps, and the server that offers it."""

import io
import re
import socket
import struct
from collections import Counter
from http.client import HTTPConnection

import numpy as np
import pytest
from PIL import Image, ImageOps

from crawl.demo.gallery import NUM_PICTURES, encode_picture, plan_gallery
from crawl.demo.layout import PAGES_HOST, PICTURES_HOST
from crawl.demo.prose import KINDS, Prose, read_facts, read_sections, read_words, write_page
from crawl.demo.server import Request, serve
from crawl.demo.site import FORBIDDEN_PAGES, FORBIDDEN_PICTURES, NUM_ARTICLES, Site
from crawl.demo.species import BY_SLUG, SEASONS, SPECIES, Species
from crawl.demo.trees import View, draw_picture, grow, survey
from tests.builds import wait_for

HTML = ("Content-Type", "text/html; charset=utf-8")


@pytest.fixture(scope="module")
def site() -> Site:
    """The first 48 pictures are enough for every trap."""
    return Site(0, num_pictures=48)


@pytest.fixture(scope="module")
def articles() -> dict[str, Prose]:
    return {f"{slug}/{kind}": write_page(0, slug, kind) for slug in read_facts() for kind in KINDS}


# Pictures


def test_gallery_shows_every_species_equally_often_and_in_every_season() -> None:
    pictures = plan_gallery(0)
    assert len(pictures) == NUM_PICTURES == 432
    assert Counter(picture.view.species.slug for picture in pictures) == dict.fromkeys(BY_SLUG, 36)
    seen = {(picture.view.species.slug, picture.view.scene.season) for picture in pictures}
    assert seen == {(slug, season) for slug in BY_SLUG for season in SEASONS}
    assert Counter(picture.encoding for picture in pictures) == {"jpeg": 382, "png": 39, "rotated": 11}


def test_same_view_gives_the_same_pixels_and_another_seed_another_tree() -> None:
    view, twin, other = survey(0, 1)[0], survey(0, 1)[0], survey(1, 1)[0]
    assert draw_picture(view).tobytes() == draw_picture(twin).tobytes()
    assert draw_picture(view).tobytes() != draw_picture(other).tobytes()


@pytest.mark.parametrize("view", survey(2, 12), ids=lambda view: str(view.species.slug))
def test_picture_shows_a_tree_against_the_sky_inside_the_central_square(view: View) -> None:
    pixels = np.asarray(draw_picture(view)).astype(int)
    assert pixels.shape == (view.height, view.width, 3)
    middle = pixels[view.height // 3 : view.height // 2, view.width * 2 // 5 : view.width * 3 // 5]
    corner = pixels[: view.height // 4, : view.width // 6]
    assert np.abs(middle.mean(axis=(0, 1)) - corner.mean(axis=(0, 1))).max() > 12


@pytest.mark.parametrize("species", SPECIES, ids=lambda species: str(species.slug))
def test_grown_tree_stands_on_the_ground_and_fits_the_picture(species: Species) -> None:
    for seed in range(20):
        skeleton = grow(species.form, np.random.default_rng(seed))
        assert skeleton.twigs[..., 1].max() == pytest.approx(1.0)
        assert np.abs(skeleton.twigs[..., 0]).max() * species.form.height <= 0.4701
        assert skeleton.stem[0, 1] == 0.0
        assert skeleton.stem[-1, 1] <= 1.0


def test_picture_stored_on_its_side_is_set_upright_by_its_exif_tag() -> None:
    rotated = next(picture for picture in plan_gallery(0) if picture.encoding == "rotated")
    stored = Image.open(io.BytesIO(encode_picture(rotated)))
    upright = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    drawn = np.asarray(draw_picture(rotated.view)).astype(int)
    assert stored.getexif()[0x0112] in (3, 6, 8)
    assert np.abs(upright - drawn).mean() < 6
    assert np.abs(np.asarray(stored).astype(int).reshape(-1) - drawn.reshape(-1)).mean() > 12


# Prose


def test_articles_are_sixty_and_long_enough_to_read(articles: dict[str, Prose]) -> None:
    lengths = [sum(len(text.split()) for text in prose.paragraphs) for prose in articles.values()]
    assert len(articles) == NUM_ARTICLES == 60
    assert min(lengths) >= 400
    assert max(lengths) <= 700
    assert 30_000 <= sum(lengths) <= 40_000
    words = {
        word.lower() for prose in articles.values() for text in prose.paragraphs for word in re.findall(r"\w+", text)
    }
    assert 1_500 <= len(words) <= 4_000


def test_no_article_repeats_a_sentence_and_no_two_share_a_long_paragraph(articles: dict[str, Prose]) -> None:
    paragraphs = [text for prose in articles.values() for text in prose.paragraphs if len(text.split()) > 50]
    assert len(set(paragraphs)) == len(paragraphs)
    for prose in articles.values():
        sentences = re.findall(r"[^.?!]+[.?!]", " ".join(prose.paragraphs))
        assert len(set(sentences)) == len(sentences)


def test_every_template_is_filled_with_the_right_article(articles: dict[str, Prose]) -> None:
    text = " ".join(" ".join(prose.paragraphs) for prose in articles.values())
    assert not re.search(r"[{}\[\]|]|\?\w| {2}", text)
    assert not re.search(r"\b[Aa] (?:[aeio]|unt|Eng)", text)
    assert not re.search(r"\b[Aa]n (?![aeiouEIHh8])", text)
    assert all(re.match(r"[A-Z]", sentence) for sentence in re.split(r"(?<=[.!?]) ", text))


def test_article_keeps_to_its_species_and_to_its_people(articles: dict[str, Prose]) -> None:
    for key, prose in articles.items():
        text = " ".join(prose.paragraphs)
        name = read_facts()[key.partition("/")[0]].slots["name"][0]
        assert len(re.findall(rf"\b{name}", text, re.IGNORECASE)) >= 6
        women = [person for person in read_words()["woman"] if person in text]
        men = [person for person in read_words()["man"] if person in text]
        assert len(women) + len(men) <= 2
        if not men and "story" not in key:
            assert not re.search(r"\b[Hh]e (?:knocked|speaks|admits|turned|planted)\b", text)


def test_every_section_that_facts_name_has_sentences_for_every_species() -> None:
    sections = {"leaf", "bark", "flower", "fruit", "wood", "guests", "lore"}
    for facts in read_facts().values():
        assert set(facts.sections) == sections
        assert all(len(sentences) >= 2 for sentences in facts.sections.values())
        assert {"bare", "evergreen"} & facts.traits
    assert all(len(sentences) >= 3 for sentences in read_sections().values())
    assert set(read_facts()) == set(BY_SLUG)


# Site


def test_same_seed_gives_the_same_site_and_another_seed_another(site: Site) -> None:
    twin, other = Site(0, num_pictures=48), Site(1, num_pictures=48)
    assert dict(site.files) == dict(twin.files)
    assert site.paths == other.paths
    assert site.reply(PAGES_HOST, "/trees/ginkgo/story.html") != other.reply(PAGES_HOST, "/trees/ginkgo/story.html")


def test_every_link_leads_somewhere_but_the_two_that_are_broken(site: Site) -> None:
    broken = set()
    for (host, path), reply in site.files.items():
        if not path.endswith((".html", "/")):
            continue
        for target in re.findall(r'(?:href|src)="([^"#]+)"', reply.body.decode()):
            url = target.replace("\\", "/")
            if url.startswith(("data:", "https://creativecommons.org/")):
                continue
            absolute = url if "://" in url else f"http://{host}{url}"
            found = re.fullmatch(r"http://([^/]+)(/.*)", absolute)
            assert found, target
            if site.reply(found[1], found[2]).status == 404:
                broken.add(absolute)
    assert broken == {f"http://{PAGES_HOST}/map.html", f"http://{PICTURES_HOST}/missing.jpg"}


def test_every_picture_is_shown_by_exactly_one_article(site: Site) -> None:
    shown: Counter[str] = Counter()
    for (host, path), reply in site.files.items():
        if host == PAGES_HOST and re.fullmatch(r"/trees/[\w-]+/\w+\.html", path):
            body = reply.body.decode().replace("\\", "/")
            shown.update(set(re.findall(rf"http://{PICTURES_HOST}(/trees/[^\" ]+?)(?=[\" ])", body)))
    counts = {path: count for path, count in shown.items() if not path.endswith("-64.jpg")}
    assert counts == {picture.path: 1 for picture in site.pictures}


def test_traps_are_what_they_claim_to_be(site: Site) -> None:
    files = site.files
    assert f"Disallow: {FORBIDDEN_PAGES}" in files[PAGES_HOST, "/robots.txt"].body.decode()
    assert f"Disallow: {FORBIDDEN_PICTURES}" in files[PICTURES_HOST, "/robots.txt"].body.decode()
    assert b'<meta name="robots" content="noai">' in files[PAGES_HOST, "/owls.html"].body
    assert ("X-Robots-Tag", "noai") in files[PICTURES_HOST, "/keeper.jpg"].headers
    assert files[PAGES_HOST, "/oak"][:2] == (301, (("Location", "/trees/english-oak/portrait.html"), HTML))
    assert files[PAGES_HOST, "/path/left"].headers[0] == ("Location", "/path/right")
    assert files[PAGES_HOST, "/path/right"].headers[0] == ("Location", "/path/left")
    assert files[PAGES_HOST, "/print/portrait.html"] == files[PAGES_HOST, "/trees/english-oak/portrait.html"]
    copies = [path for host, path in site.paths if path.startswith("/copies/")]
    originals = {files[PICTURES_HOST, picture.path].body for picture in site.pictures}
    assert len(copies) == 6
    assert all(files[PICTURES_HOST, path].body in originals for path in copies)


def test_broken_picture_is_broken_and_resaved_picture_has_the_pixels_of_another(site: Site) -> None:
    broken = Image.open(io.BytesIO(site.reply(PICTURES_HOST, "/storm.jpg").body))
    with pytest.raises(OSError, match="truncated"):
        broken.load()
    png = next(picture for picture in site.pictures if picture.encoding == "png")
    first, second = site.reply(PICTURES_HOST, png.path).body, site.reply(PICTURES_HOST, "/resaved.png").body
    assert first != second
    assert Image.open(io.BytesIO(first)).tobytes() == Image.open(io.BytesIO(second)).tobytes()


# Server


def test_server_tells_its_hosts_apart_and_logs_every_request(site: Site) -> None:
    with serve(0, site=site) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        asked = [
            (PAGES_HOST, "/", 200),
            (PICTURES_HOST, "/logo.png", 200),
            (PICTURES_HOST, "/", 404),
            ("other", "/", 404),
        ]
        for host, path, status in asked:  # over one kept-alive connection
            connection.request("GET", path, headers={"Host": host, "User-Agent": "test"})
            answer = connection.getresponse()
            assert answer.read() == site.reply(host, path).body
            assert answer.status == status
            assert answer.getheader("Date") is None
        connection.close()
    assert server.log == [Request(host, path, status, "test") for host, path, status in asked]
    assert server.connect_to == dict.fromkeys((PAGES_HOST, PICTURES_HOST), f"127.0.0.1:{server.port}")


def test_server_says_nothing_of_a_visitor_who_leaves_in_the_middle(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve(0, site=site) as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as visitor:
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset on close
                visitor.sendall(b"GET / HTTP/1.1\r\nHost: arboretum.example\r\n\r\n" * 50)
        wait_for(lambda: server.log, "a request")
    assert capfd.readouterr().err == ""
