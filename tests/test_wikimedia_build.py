"""A build from Wikimedia Commons, played on loopback: captions, authors and licences reach the samples."""

import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from crawl.demo.trees import draw_picture, survey
from pipelines.build import build
from pipelines.errors import StageError
from pipelines.load_recipe import load_recipe
from shards import open_dataset
from tests.builds import manifest_of
from tests.loopback import NOT_FOUND, SITE_FILES, Answer, Site, serve

COMMONS, UPLOADS, WIKI = "commons.example", "upload.example", "en.wikipedia.example"
ARTICLE = " ".join(f"The oak of parish number {number} was planted by a careful hand." for number in range(12))
LINKS = f"<img src='http://{UPLOADS}/icon.png'><a href='/wiki/Elm'>Elm</a>"
PAGE = f"<html><body><nav>{LINKS}</nav><main><p>{ARTICLE}</p></main></body></html>"


def _file(number: int, name: str, **metadata: str) -> dict[str, Any]:
    info = {
        "thumburl": f"http://{UPLOADS}/thumb/{name}",
        "descriptionurl": f"http://{COMMONS}/wiki/File:{name}",
        "mime": "image/jpeg",
        "extmetadata": {field: {"value": value} for field, value in metadata.items()},
    }
    usage = [{"title": "Oak", "wiki": WIKI, "url": f"http://{WIKI}/wiki/Oak", "ns": "0"}]
    return {"pageid": number, "imageinfo": [info], "globalusage": usage}


OAK = _file(
    1,
    "Oak.jpg",
    ImageDescription="An <i>old</i> oak",
    Artist="Ann Gardener",
    LicenseShortName="CC BY 4.0",
    LicenseUrl="https://creativecommons.org/licenses/by/4.0",
)
FILES = [OAK, _file(2, "Elm.jpg"), _file(3, "Gone.jpg")]


def _jpeg(number: int) -> bytes:
    file = io.BytesIO()
    view = survey(0, 3)[number]
    draw_picture(view).convert("RGB").save(file, format="JPEG", quality=90)
    return file.getvalue()


def _answer(host: str, path: str) -> Answer:
    url = urlsplit(path)
    if url.path == "/w/api.php":
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        oaks = asked.get("gcmtitle") == "Category:Oaks"
        found = {"batchcomplete": True, "query": {"pages": FILES if oaks else [], "categorymembers": []}}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(found).encode())
    if (host, url.path) == (WIKI, "/wiki/Oak"):
        return Answer(200, {"Content-Type": "text/html"}, PAGE.encode())
    pictures = {"/thumb/Oak.jpg": 0, "/thumb/Elm.jpg": 1}
    if host == UPLOADS and url.path in pictures:
        return Answer(200, {"Content-Type": "image/jpeg"}, _jpeg(pictures[url.path]))
    return NOT_FOUND


def _build(site: Site, out: Path, category: str = "Oaks") -> None:
    overrides = [
        "contact=gardener@example.org",
        f"crawl.sources.commons={{source: wikimedia, categories: [{category}], wikis: [{WIKI}], api: 'http://127.0.0.1:{site.port}/w/api.php'}}",
        f"crawl.allow_hosts=[127.0.0.1, {COMMONS}, {UPLOADS}, {WIKI}]",
        site.connect_to(COMMONS, UPLOADS, WIKI),
        "crawl.delay_s=0",
        "split={train: 1.0, val: 0.0, test: 0.0}",
        "text.gopher_repetition=null",  # the article says one thing three times
    ]
    recipe = load_recipe("wikimedia-trees", overrides)
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))


def test_captions_authors_and_licences_reach_the_samples(tmp_path: Path):
    with serve(_answer) as site:
        _build(site, tmp_path)
    crawl = manifest_of(tmp_path, "crawl").counts
    assert (crawl.records_in, crawl.kept, crawl.failed) == (4, 3, {"http_404": 1})
    dataset = open_dataset(tmp_path / "triplets")
    samples = {sample["meta"]["url"]: sample for sample in (dataset[number] for number in range(len(dataset)))}
    oak, elm = (samples[f"http://{UPLOADS}/thumb/{name}.jpg"] for name in ("Oak", "Elm"))
    assert oak["caption"] == "An old oak"
    facts = ("licence", "licence_url", "author", "caption_source", "page_url")
    assert [oak["meta"][fact] for fact in facts] == [
        "CC-BY-4.0",
        "https://creativecommons.org/licenses/by/4.0",
        "Ann Gardener",
        "api",
        f"http://{COMMONS}/wiki/File:Oak.jpg",
    ]
    assert [elm["meta"][fact] for fact in facts[:3]] == ["unknown"] * 3


def test_articles_are_read_but_nothing_they_link_to_or_show_is_asked_for(tmp_path: Path):
    with serve(_answer) as site:
        _build(site, tmp_path)
    assert {path for _, path in site.requests if "api.php" not in path} == {
        *SITE_FILES,
        "/thumb/Oak.jpg",
        "/thumb/Elm.jpg",
        "/thumb/Gone.jpg",
        "/wiki/Oak",
    }
    folder = tmp_path / "text" / manifest_of(tmp_path, "text").fingerprint
    assert pq.read_table(folder / "documents-000000.parquet")["text"].to_pylist() == [ARTICLE]


def test_a_category_without_pictures_is_said(tmp_path: Path):
    with serve(_answer) as site, pytest.raises(StageError, match="lists no picture under Elms; check"):
        _build(site, tmp_path, "Elms")


def test_an_api_that_cannot_be_reached_is_said(tmp_path: Path):
    with serve(_answer) as site:
        pass
    with pytest.raises(StageError, match=r"api\.php: connection_failed.*run again"):
        _build(site, tmp_path)
