"""Wikimedia Commons, played by a small stand-in on loopback that speaks its API's JSON."""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crawl.api import request_json
from crawl.http import FetchError
from crawl.records import LinkRow
from crawl.settings import FetchSettings
from crawl.wikimedia import WikimediaSettings, discover
from tests.loopback import Answer, serve

COMMONS = "https://commons.wikimedia.org/wiki"
UPLOADS = "https://upload.wikimedia.org/wikipedia/commons/thumb"


def _file(page_id: int, name: str, *, mime: str = "image/jpeg", **metadata: str) -> dict[str, Any]:
    info = {
        "thumburl": f"{UPLOADS}/{name}/640px-{name}",
        "url": f"{UPLOADS}/{name}",
        "descriptionurl": f"{COMMONS}/File:{name}",
        "mime": mime,
        "extmetadata": {field: {"value": value, "source": "commons-desc-page"} for field, value in metadata.items()},
    }
    return {"pageid": page_id, "ns": 6, "title": f"File:{name}", "imageinfo": [info]}


def _use(title: str, wiki: str = "en.wikipedia.org", ns: str = "0") -> dict[str, str]:
    return {"title": title, "wiki": wiki, "url": f"https://{wiki}/wiki/{title}", "ns": ns}


OAK = _file(
    1,
    "Oak.jpg",
    ImageDescription='An <b>old</b> oak\n in <a href="//x">Kew</a> &amp; snow',
    Artist='<a href="//commons.wikimedia.org/wiki/User:Ann">Ann Gardener</a>',
    LicenseShortName="CC BY-SA 4.0",
    LicenseUrl="https://creativecommons.org/licenses/by-sa/4.0",
)
ELM = _file(2, "Elm.png", mime="image/png", LicenseShortName="GFDL", Artist="")
ASH = _file(3, "Ash.jpg", LicenseShortName="Copyrighted free use")
MAP = _file(4, "Map.svg", mime="image/svg+xml")
BEECH = _file(5, "Beech.jpg", LicenseShortName="Public domain")

CATEGORIES = {"Category:Oaks": ["Category:Beeches", "Category:Oaks"], "Category:Beeches": ["Category:Deep"]}

FILES: dict[tuple[str, str], dict[str, Any]] = {
    ("Category:Oaks", ""): {
        "continue": {"gucontinue": "Oak.jpg|enwiki|9", "continue": "||imageinfo"},
        "query": {
            "pages": [
                {**OAK, "globalusage": [_use("Oak"), _use("Talk:Oak", ns="1"), _use("Eiche", "de.wikipedia.org")]},
                ELM,
                MAP,
            ]
        },
    },
    ("Category:Oaks", "Oak.jpg|enwiki|9"): {
        "batchcomplete": True,
        "continue": {"gcmcontinue": "file|ASH", "continue": "gcmcontinue||"},
        "query": {"pages": [{"pageid": 1, "ns": 6, "title": "File:Oak.jpg", "globalusage": [_use("Kew_Gardens")]}]},
    },
    ("Category:Oaks", "file|ASH"): {
        "batchcomplete": True,
        "query": {"pages": [{**ASH, "globalusage": [_use("Oak")]}]},
    },
    ("Category:Beeches", ""): {
        "batchcomplete": True,
        "query": {"pages": [{**BEECH, "globalusage": [_use("Beech")]}, OAK]},
    },
}


def _answer(host: str, path: str) -> Answer:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    assert (asked["action"], asked["format"], asked["formatversion"], asked["maxlag"]) == ("query", "json", "2", "5")
    if asked.get("list") == "categorymembers":
        assert asked["cmtype"] == "subcat"
        subcategories = CATEGORIES.get(asked["cmtitle"], [])
        found: dict[str, Any] = {"query": {"categorymembers": [{"ns": 14, "title": title} for title in subcategories]}}
    else:
        assert (asked["gcmtype"], asked["iiurlwidth"], asked["prop"]) == ("file", "640", "imageinfo|globalusage")
        more = asked.get("gucontinue") or asked.get("gcmcontinue") or ""
        found = FILES.get((asked["gcmtitle"], more), {"batchcomplete": True})
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(found).encode())


def _discover(answer: Callable[[str, str], Answer] = _answer, **changes: Any) -> tuple[list[LinkRow], int]:
    """Gives the links found and the number of requests made."""
    fetching = FetchSettings(contact="gardener@trees.example", allow_hosts=("127.0.0.1",), delay_s=0)
    with serve(answer) as site:
        settings = WikimediaSettings(categories=("Oaks",), api=f"http://127.0.0.1:{site.port}/w/api.php")
        links = list(discover(replace(settings, **changes), functools.partial(request_json, settings=fetching)))
    return links, len(site.requests)


def _names(links: list[LinkRow]) -> list[str]:
    return [link.to_url.rpartition("/")[2] for link in links]


def test_categories_are_walked_for_pictures_and_the_articles_that_show_them():
    links, _ = _discover()
    assert [(link.kind, name) for link, name in zip(links, _names(links), strict=True)] == [
        ("image", "640px-Oak.jpg"),
        ("page", "Oak"),
        ("page", "Kew_Gardens"),
        ("image", "640px-Elm.png"),
        ("image", "640px-Ash.jpg"),
        ("image", "640px-Beech.jpg"),
        ("page", "Beech"),
    ]
    assert {link.depth for link in links} == {0}


def test_a_picture_brings_its_caption_author_and_licence():
    links, _ = _discover()
    assert links[0] == LinkRow(
        from_url=f"{COMMONS}/File:Oak.jpg",
        to_url=f"{UPLOADS}/Oak.jpg/640px-Oak.jpg",
        kind="image",
        caption="An old oak in Kew & snow",
        caption_source="api",
        licence="CC-BY-SA-4.0",
        licence_url="https://creativecommons.org/licenses/by-sa/4.0",
        author="Ann Gardener",
        depth=0,
        licence_method="api",
        language="en",
    )
    assert [(link.licence, link.licence_url, link.author) for link in links if link.kind == "image"][1:] == [
        ("unknown", "unknown", "unknown"),
        ("unknown", "unknown", "unknown"),
        ("LicenseRef-public-domain", "unknown", "unknown"),
    ]


def test_an_article_is_linked_from_the_first_picture_it_shows():
    links, _ = _discover()
    article = next(link for link in links if link.to_url == "https://en.wikipedia.org/wiki/Kew_Gardens")
    assert (article.from_url, article.caption, article.caption_source) == (
        f"{COMMONS}/File:Oak.jpg",
        "Kew Gardens",
        "api",
    )


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"max_files": 2}, ["640px-Oak.jpg", "Oak", "Kew_Gardens", "640px-Elm.png"]),
        ({"max_articles": 0, "max_category_depth": 0}, ["640px-Oak.jpg", "640px-Elm.png", "640px-Ash.jpg"]),
        ({"max_articles": 1, "max_categories": 1}, ["640px-Oak.jpg", "Oak", "640px-Elm.png", "640px-Ash.jpg"]),
        (
            {"wikis": ("de.wikipedia.org",), "max_category_depth": 0},
            ["640px-Oak.jpg", "Eiche", "640px-Elm.png", "640px-Ash.jpg"],
        ),
        ({"categories": ("Nothing here",)}, []),
    ],
)
def test_the_walk_stops_where_it_is_told_to(changes: dict[str, Any], names: list[str]):
    assert _names(_discover(**changes)[0]) == names


def test_no_more_is_asked_than_needed():
    assert _discover(max_category_depth=0)[1] == 3
    assert _discover(max_category_depth=1)[1] == 3 + 1 + 1
    assert _discover(max_category_depth=2)[1] == 3 + 1 + 1 + 1 + 1


def test_an_endless_continuation_ends_with_a_warning(caplog: pytest.LogCaptureFixture):
    def answer(host: str, path: str) -> Answer:
        return Answer(200, {}, b'{"continue": {"gcmcontinue": "again", "continue": "-||"}, "query": {"pages": []}}')

    links, num_requests = _discover(answer, max_category_depth=0)
    assert (links, num_requests) == ([], 50)
    assert caplog.messages == ["Category:Oaks: more than 50 answers; the rest of it is left out"]


def test_an_error_of_the_api_is_told():
    def answer(host: str, path: str) -> Answer:
        return Answer(200, {}, b'{"error": {"code": "invalidtitle", "info": "Bad title."}}')

    with pytest.raises(FetchError, match=r"api_error: .*/w/api\.php: invalidtitle: Bad title\."):
        _discover(answer)
