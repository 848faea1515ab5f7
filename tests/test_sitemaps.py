"""Sitemaps as sites write them, and as somebody with bad intentions would."""

import gzip
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crawl.sitemap_xml import MAX_DEPTH, MAX_ENTRIES, SitemapError
from crawl.sitemaps import MAX_SITEMAP_BYTES, ListedImage, ListedPage, Sitemap, read_sitemap, sitemaps_of

URL = "https://trees.example/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'

SITEMAP = f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset {NAMESPACE} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url>
    <loc> https://trees.example/Oak?a=1&amp;b=2#top
    </loc><lastmod>2024-05-01T12:00:00+02:00</lastmod><changefreq>weekly</changefreq><priority>0.8</priority>
    <image:image>
      <image:loc>https://cdn.example/oak.jpg</image:loc>
      <image:title>Title</image:title>
      <image:caption><![CDATA[An old
        oak & snow]]></image:caption>
      <image:license>https://creativecommons.org/licenses/by/4.0/</image:license>
    </image:image>
    <image:image><image:loc>https://cdn.example/elm.jpg</image:loc><image:title>An elm</image:title></image:image>
    <image:image><image:title>nowhere</image:title></image:image>
  </url>
  <url><loc>https://www.trees.example/elm</loc><lastmod>soon</lastmod></url>
  <url><loc>https://other.example/ash</loc></url>
  <url><loc>/beech</loc></url>
  <url><lastmod>2024-05-01</lastmod></url>
  <url><loc>https://trees.example/{"x" * 9_000}</loc></url>
</urlset>""".encode()


def test_a_sitemap_lists_pages_with_their_pictures():
    assert read_sitemap(SITEMAP, URL) == Sitemap(
        pages=(
            ListedPage("https://trees.example/Oak?a=1&b=2", "2024-05-01T12:00:00+02:00"),
            ListedPage("https://www.trees.example/elm", ""),
        ),
        sitemaps=(),
        images=(
            ListedImage(
                "https://trees.example/Oak?a=1&b=2",
                "https://cdn.example/oak.jpg",
                "An old oak & snow",
                "https://creativecommons.org/licenses/by/4.0/",
            ),
            ListedImage("https://trees.example/Oak?a=1&b=2", "https://cdn.example/elm.jpg", "An elm", ""),
        ),
        rejected={"bad_url": 3, "other_host": 1, "bad_image_url": 1},
    )


def test_a_host_may_vouch_for_a_sitemap_elsewhere():
    found = read_sitemap(SITEMAP, URL, vouching_hosts=["other.example"])
    assert [page.url for page in found.pages][2:] == ["https://other.example/ash"]
    assert "other_host" not in found.rejected


@pytest.mark.parametrize("namespace", [NAMESPACE, "", 'xmlns="http://www.google.com/schemas/sitemap/0.84"'])
def test_an_index_lists_sitemaps_of_its_own_host(namespace: str):
    body = f"""<sitemapindex {namespace}>
      <sitemap><loc>https://trees.example/a.xml.gz</loc><lastmod>2024-05-01</lastmod></sitemap>
      <sitemap><loc>https://other.example/b.xml</loc></sitemap></sitemapindex>"""
    assert read_sitemap(body.encode(), URL) == Sitemap(
        (), (ListedPage("https://trees.example/a.xml.gz", "2024-05-01"),), (), {"other_host": 1}
    )


@pytest.mark.parametrize(
    "body",
    [
        """<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>
        <link>https://trees.example/home</link><atom:link rel="self" href="https://trees.example/feed"/>
        <item><title>Oak</title><atom:link rel="self" href="https://trees.example/feed"/>
        <link>https://trees.example/oak</link><pubDate>Wed, 01 May 2024 12:00:00 +0200</pubDate></item>
        </channel></rss>""",
        """<feed xmlns="http://www.w3.org/2005/Atom"><link href="https://trees.example/"/>
        <entry><link rel="edit" href="https://trees.example/edit"/><link href="https://trees.example/oak"/>
        <updated>2024-05-01T10:00:00Z</updated></entry></feed>""",
        """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
        xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><link>https://trees.example/</link></channel>
        <item><link>https://trees.example/oak</link><dc:date>2024-05-01T10:00:00Z</dc:date></item></rdf:RDF>""",
    ],
)
def test_feeds_are_sitemaps_too(body: str):
    page = ListedPage("https://trees.example/oak", "2024-05-01T10:00:00Z")
    assert read_sitemap(body.encode(), URL) == Sitemap((page,), (), (), {})


def test_plain_text_lists_one_url_a_line():
    body = b"\xef\xbb\xbfhttps://trees.example/a b\r\n\r\n  https://trees.example/\xc3\xa9\nnot a url\nhttps://other.example/"
    found = read_sitemap(body, URL)
    assert [page.url for page in found.pages] == ["https://trees.example/a%20b", "https://trees.example/%C3%A9"]
    assert found.rejected == {"bad_url": 1, "other_host": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_encoding_is_the_one_the_xml_names(encoding: str):
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><urlset><url><loc>https://trees.example/é</loc></url></urlset>\n'
    )
    assert read_sitemap(text.encode(encoding), URL).pages[0].url == "https://trees.example/%C3%A9"


def test_what_stands_before_a_fault_is_kept():
    body = SITEMAP.replace(b"https://other.example/ash", b"https://trees.example/?a&b")
    found = read_sitemap(b"\n " + body, URL)
    assert [page.url for page in found.pages] == [
        "https://trees.example/Oak?a=1&b=2",
        "https://www.trees.example/elm",
    ]
    assert found.rejected["malformed"] == 1


def _entity_bomb() -> bytes:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    return f'<!DOCTYPE x [<!ENTITY e0 "oak">{entities}]><urlset><url><loc>&e12;</loc></url></urlset>'.encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (_entity_bomb(), "entities"),
        (
            b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>',
            "entities",
        ),
        (b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/">%p;]><urlset/>', "entities"),
        (b"<urlset>" * (MAX_DEPTH + 1), "too_deep"),
        (b"<urlset>" + b"<a/>" * 2_000_000, "too_many_elements"),
        (bytes(MAX_SITEMAP_BYTES + 1), "too_many_bytes"),
        (gzip.compress(bytes(MAX_SITEMAP_BYTES)), "expands_too_much"),
        (gzip.compress(SITEMAP)[:-20], "bad_gzip"),
        (b"<!DOCTYPE html><html><body>Not found<br></body></html>", "not_a_sitemap"),
        (b'{"message": "not found"}', "not_a_sitemap"),
        (b"", "not_a_sitemap"),
        (b'<?xml version="1.0" encoding="gb2312"?><urlset/>', "not_a_sitemap"),
    ],
)
def test_what_is_no_sitemap_or_hostile_is_refused(body: bytes, reason: str):
    with pytest.raises(SitemapError) as caught:
        read_sitemap(body, URL)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_a_document_type_alone_does_no_harm_and_nothing_is_fetched_for_it():
    body = (
        b'<!DOCTYPE urlset SYSTEM "http://127.0.0.1:9/x.dtd">'
        + b"<urlset><url><loc>https://trees.example/</loc></url></urlset>"
    )
    assert len(read_sitemap(body, URL).pages) == 1


@pytest.mark.parametrize("ending", ["xml", "txt"])
def test_urls_beyond_the_protocols_limit_are_counted(ending: str):
    if ending == "txt":
        body = b"https://trees.example/oak\n" * (MAX_ENTRIES + 7)
    else:
        body = b"<urlset>" + b"<url><loc>https://trees.example/oak</loc></url>" * (MAX_ENTRIES + 7) + b"</urlset>"
    found = read_sitemap(body, URL)
    assert (len(found.pages), found.rejected) == (MAX_ENTRIES, {"too_many_urls": 7})


def test_a_bomb_does_not_fill_the_memory():
    bomb = gzip.compress(b"https://a\n" + b"x\n" * 1_000_000 + b" " * 20_000_000)
    lines = b"https://a\n" + b"".join(b"%d\n" % n for n in range(1_000_000)) + b" " * 20_000_000
    long_list = gzip.compress(lines)
    del lines
    tracemalloc.start()
    with pytest.raises(SitemapError, match="4096 bytes decode to 1048577 and more"):
        read_sitemap(bomb, URL)
    found = read_sitemap(long_list, URL)
    assert found.rejected == {"other_host": 1, "bad_url": 49_999, "too_many_urls": 950_001}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * 2**20


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        (b"", []),
        (b"\xef\xbb\xbfSITEMAP:\xc2\xa0https://a.example/s.xml", ["https://a.example/s.xml"]),
        (b"User-agent: *\rSitemap: http://a.example/1\rSite-Map : http://a.example/2\r\nSitemap: http://a.example/1",
         ["http://a.example/1", "http://a.example/2"]),
        (b"Sitemap: /s.xml\nSitemap:\nSitemap: ftp://a.example/\n# Sitemap: http://a.example/", []),
        (b"Disallow: /Sitemap: http://a.example/\n  sitemap: http://a.example/\xc3\xa9 # ours", ["http://a.example/%C3%A9"]),
    ],
)  # fmt: skip
def test_robots_txt_names_sitemaps(robots: bytes, expected: list[str]):
    assert sitemaps_of(robots) == expected


_PIECES = st.sampled_from(
    [b"<urlset>", b"</urlset>", b"<url>", b"</url>", b"<loc>", b"</loc>", b"https://trees.example/", b"&amp;", b"<rss>",
     b"<feed>", b"<entry>", b"<link href='https://trees.example/'/>", b"<!-- -->", b"\n", b"<![CDATA[", b"]]>", b"\xff"]
)  # fmt: skip


@given(st.lists(_PIECES | st.binary(max_size=8), max_size=20).map(b"".join))
def test_any_bytes_are_a_sitemap_or_one_error_and_gzip_changes_nothing(body: bytes):
    def outcome(data: bytes) -> Sitemap | str:
        try:
            return read_sitemap(data, URL, ["x.example"])
        except SitemapError as error:
            return error.reason

    assume(not body.startswith(b"\x1f\x8b"))  # gzip within gzip is undone once
    assert outcome(body) == outcome(gzip.compress(body))


@given(st.lists(st.sampled_from(["https://trees.example/a", "https://other.example/", "mailto:x", ""]), max_size=30))
def test_every_entry_is_listed_or_counted(locs: list[str]):
    body = "<urlset>" + "".join(f"<url><loc>{loc}</loc></url>" for loc in locs) + "</urlset>"
    found = read_sitemap(body.encode(), URL)
    assert len(found.pages) + sum(found.rejected.values()) == len(locs)
    assert len(found.pages) == locs.count("https://trees.example/a")
