"""Links, pictures and captions on pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.encoding import decode_page
from crawl.html import MAX_ATTRIBUTES, MAX_NESTING, MAX_TAGS, Page, PageError, plain_text, read_page
from crawl.licences import spdx_of_name, spdx_of_url
from crawl.markup import has_more_attributes
from crawl.pictures import Candidate, parse_srcset

URL = "http://trees.example/walk/oak.html"


def _read(body: str, picture_width: int = 256) -> Page:
    return read_page(body.encode(), URL, "utf-8", picture_width)


def _pictures(body: str, picture_width: int = 256) -> list[str]:
    links = _read(body, picture_width).links
    return [link.to_url.removeprefix("http://trees.example/walk/") for link in links if link.kind == "image"]


def test_a_page_says_its_title_language_and_links_in_document_order():
    page = _read(
        """<html lang="EN-gb"><head><title> The
        oak </title></head><body><a href="/beech#crown">The <b>beech</b></a><img src="oak.jpg" alt="An  old oak">
        <map><area href="map.html"></map><a href="#top">top</a><a href="mailto:a@b">m</a><a>no</a></body></html>"""
    )
    assert (page.title, page.language, page.robots) == ("The oak", "en-gb", frozenset())
    assert [(link.kind, link.to_url, link.caption, link.caption_source) for link in page.links] == [
        ("page", "http://trees.example/beech", "The beech", "text"),
        ("image", "http://trees.example/walk/oak.jpg", "An old oak", "alt"),
        ("page", "http://trees.example/walk/map.html", "", "none"),
    ]
    assert {(link.from_url, link.depth) for link in page.links} == {(URL, 1)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<base href="/pictures/"><img src="oak.jpg">', "http://trees.example/pictures/oak.jpg"),
        ('<base href="http://cdn.example/"><img src="oak.jpg">', "http://cdn.example/oak.jpg"),
        ('<base href="data:x"><img src="oak.jpg">', "http://trees.example/walk/oak.jpg"),
        (r'<img src="big\oak tree.jpg">', "http://trees.example/walk/big/oak%20tree.jpg"),
        ('<img src=" oak.jpg\n">', "http://trees.example/walk/oak.jpg"),
    ],
)
def test_references_are_resolved_as_browsers_do(body: str, expected: str):
    assert [link.to_url for link in _read(body).links] == [expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<img src="a.jpg">', ["a.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 200w, c.jpg 300w, d.jpg 900w">', ["c.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 100w, c.jpg 200w">', ["c.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 2x">', ["a.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 2x" width="150">', ["b.jpg"]),
        ('<img src="a.jpg" srcset="b.jpg 2x" width="300">', ["a.jpg"]),
        ('<img srcset="a.jpg, b.jpg 2x">', ["b.jpg"]),
        ('<img srcset="a,b.jpg 300w,c.jpg 400w">', ["a,b.jpg"]),
        ('<img src="data:image/gif;base64,AA" data-src="a.jpg">', ["a.jpg"]),
        ('<img data-srcset="a.jpg 300w, b.jpg 600w" data-src="c.jpg">', ["a.jpg"]),
        ('<img src="data:image/gif;base64,AA">', []),
        ('<img src="">', []),
        ("<img>", []),
        ('<picture><source srcset="a.webp 300w" type="image/webp"><img src="b.jpg"></picture>', ["a.webp"]),
        ('<picture><source srcset="a.jxl 300w" type="image/jxl"><img src="b.jpg"></picture>', ["b.jpg"]),
        ('<picture><source srcset="a.jpg 300w" media="(min-width: 9px)"><img src="b.jpg"></picture>', ["b.jpg"]),
        ('<picture><source srcset="a.jpg 300w"><source srcset="c.jpg 260w"><img src="b.jpg"></picture>', ["c.jpg"]),
        ('<noscript><img src="a.jpg"></noscript>', ["a.jpg"]),
    ],
)
def test_each_img_gives_the_one_picture_wide_enough(body: str, expected: list[str]):
    assert _pictures(body) == expected


def test_the_wanted_width_decides_among_the_candidates():
    body = '<img srcset="s.jpg 100w, m.jpg 500w, l.jpg 2000w">'
    assert [_pictures(body, width) for width in (64, 100, 101, 501, 9999)] == [
        ["s.jpg"],
        ["s.jpg"],
        ["m.jpg"],
        ["l.jpg"],
        ["l.jpg"],
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<img src="a" alt=" An\n oak " title="t">', ("An oak", "alt")),
        ('<figure><img src="a" alt=""><figcaption>In <i>May</i></figcaption></figure>', ("In May", "figcaption")),
        ('<figure><figcaption>In May</figcaption><div><img src="a"></div></figure>', ("In May", "figcaption")),
        ('<img src="a" title="Oak">', ("Oak", "title")),
        ('<figure><figcaption>Other</figcaption></figure><img src="a">', ("", "none")),
        ('<figure><figcaption> </figcaption><img src="a" title="Oak"></figure>', ("Oak", "title")),
        ('<img src="a" alt="..." title="Oak">', ("Oak", "title")),
        ('<img src="a" alt="…">', ("", "none")),
        ('<img src="a" alt="樫">', ("樫", "alt")),
    ],
)
def test_captions_come_from_alt_figcaption_or_title(body: str, expected: tuple[str, str]):
    (link,) = _read(body).links
    assert (link.caption, link.caption_source) == expected


def test_a_licence_linked_in_the_figure_is_evidence_and_one_elsewhere_is_not():
    licence = '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY</a>'
    pictures = [
        link
        for link in _read(f'<figure><img src="a">{licence}</figure><img src="b">{licence}').links
        if link.kind == "image"
    ]
    assert [(link.licence, link.licence_url) for link in pictures] == [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("unknown", "unknown"),
    ]


@pytest.mark.parametrize(
    ("meta", "robots", "links"),
    [
        ("", set(), ["page", "image"]),
        ('<meta name="robots" content="NOINDEX">', {"noindex"}, ["page"]),
        ('<meta name="Robots" content="noai, noimageai">', {"noai", "noimageai"}, ["page"]),
        ('<meta name="seedbed" content="noimageai">', {"noimageai"}, ["page"]),
        ('<meta name="robots" content="nofollow">', {"nofollow"}, ["image"]),
        ('<meta name="robots" content="none">', {"none", "noindex", "nofollow"}, []),
        ('<meta name="otherbot" content="noindex, nofollow">', set(), ["page", "image"]),
    ],
)
def test_opt_outs_take_pictures_and_nofollow_takes_links(meta: str, robots: set[str], links: list[str]):
    page = _read(f'{meta}<a href="beech.html">x</a><a rel="x NoFollow" href="ash.html">x</a><img src="oak.jpg">')
    assert page.robots == robots
    assert [link.kind for link in page.links if link.opt_out == "none"] == links


def test_directives_from_http_count_as_those_in_the_page():
    page = read_page(b'<a href="/x">x</a><img src="y">', URL, None, 256, depth=3, directives=frozenset({"noai"}))
    assert [(link.kind, link.opt_out) for link in page.links] == [("page", "none"), ("image", "noai")]


@pytest.mark.parametrize(
    ("payload", "charset", "expected"),
    [
        ("Bäume".encode(), None, "Bäume"),
        ("Bäume".encode("latin-1"), None, "Bäume"),
        ("Bäume“".encode("cp1252"), "iso-8859-1", "Bäume“"),
        ("Bäume".encode(), "no-such-charset", "Bäume"),
        ("Bäume".encode("latin-1"), "rot13", "Bäume"),
        ("\ufeffBäume".encode(), "latin-1", "Bäume"),
        ("\ufeffBäume".encode("utf-16-le"), None, "Bäume"),
        ('<meta charset="shift_jis">木'.encode("shift_jis"), None, '<meta charset="shift_jis">木'),
        ('<meta charset="utf-16">ä'.encode(), None, '<meta charset="utf-16">ä'),
        (b"a\0b\xff", "utf-8", "a\ufffdb\ufffd"),
    ],
)
def test_pages_are_decoded_as_browsers_do(payload: bytes, charset: str | None, expected: str):
    assert decode_page(payload, charset) == expected


@pytest.mark.parametrize(
    "payload", [b"", b"\0\0", b'<?xml version="1.0"?><rss><a href="x"/></rss>', b"http://x.example/"]
)
def test_what_is_hardly_a_page_still_reads(payload: bytes):
    assert isinstance(read_page(payload, URL, None, 256), Page)


@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "utf-16", "gbk", "x"]))
def test_any_bytes_at_all_read(payload: bytes, charset: str | None):
    prefix = b'<figure><img srcset="'
    assert isinstance(read_page(prefix + payload, URL, charset, 256), Page)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"<p>" * (MAX_TAGS + 1), "too_many_tags"),
        (b"<div>" * (MAX_NESTING + 1), "nested_too_deeply"),
        (b"<figure><figcaption>" * 10_000, "nested_too_deeply"),
        (b"<p a=1>" * 20_000 + b"<p" + b" a" * (MAX_ATTRIBUTES - 20_000 + 1) + b">", "too_many_attributes"),
    ],
)
def test_pages_made_to_be_slow_are_not_taken_apart(payload: bytes, reason: str):
    with pytest.raises(PageError, match=reason):
        read_page(payload, URL, None, 256)


@pytest.mark.parametrize(
    ("markup", "count"),
    [
        ("<p a b=c d = e/f g='h i' j=\"k > l\">m n o", 5),
        ("<p/a/b>", 2),
        ("<p a='>' b>", 2),
        ("<p a=b'c d=e\"f g>h='i j", 3),
        ('<p a=\N{NO-BREAK SPACE}"b c d">', 3),
        ("<p a==b =c>", 2),
        ("<p a='b c d", 4),  # which parsers drop, as it never ends
        ("</p a b>< p a b><!-- <p a b> --><p a><!-- <p b>", 1),
        ("<SCRIPT a>if (b<c d e) f</script><style>g<h i{}</style><p j>", 2),
        ("<title x>a<b c d", 1),
    ],
)
def test_attributes_are_counted_as_browsers_read_them(markup: str, count: int):
    padding = " " * count  # the count is looked at only where there is room for so many
    assert has_more_attributes(padding + markup, count - 1)
    assert not has_more_attributes(padding + markup, count)


def test_a_srcset_is_parsed_as_the_standard_says():
    assert parse_srcset(" ,a 1x ,b,, c 20w 10h, d 3q, e -1w,f") == [
        Candidate("a", 0, 1.0),
        Candidate("b", 0, 1.0),
        Candidate("c", 20, 1.0),
        Candidate("f", 0, 1.0),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE"),
        ("CC BY 2.0 de", "CC-BY-2.0"),
        ("cc-by-nc-nd-3.0", "CC-BY-NC-ND-3.0"),
        ("CC0", "CC0-1.0"),
        ("Public domain", "LicenseRef-public-domain"),
        ("GFDL", "unknown"),
        ("", "unknown"),
    ],
)
def test_licence_names_become_spdx_identifiers(name: str, expected: str):
    assert spdx_of_name(name) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/2.5/legalcode", "CC-BY-NC-SA-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "LicenseRef-public-domain"),
        ("https://creativecommons.org/licenses/sampling/1.0/", "unknown"),
        ("https://evil.example/creativecommons.org/licenses/by/4.0/", "unknown"),
    ],
)
def test_licence_urls_become_spdx_identifiers(url: str, expected: str):
    assert spdx_of_url(url) == expected


def test_plain_text_of_a_fragment():
    assert plain_text('<div>Oak,\n <a href="x">Kew</a></div>') == "Oak, Kew"
