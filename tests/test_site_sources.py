"""Sitemaps and domains: what a site source reaches besides links."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from pipelines.build import build
from pipelines.load_recipe import check_recipe
from tests.builds import manifest_of, seedbed
from tests.loopback import NOT_FOUND, SITE_FILES, Answer, Site, pages, serve

HOST = "grove.example"
HOME = f"http://{HOST}"
XML = {"Content-Type": "application/xml"}
NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:i="http://www.google.com/schemas/sitemap-image/1.1"'


def crawl(site: Site, out: Path, *hosts: str, max_redirects: int = 10, **source: Any) -> dict[str, dict[str, Any]]:
    """Crawls with one `site` source; gives the ledger by URL."""
    data = {
        "name": "grove",
        "contact": "gardener@example.org",
        "crawl": {
            "sources": {"grove": {"source": "site", "seeds": [f"{HOME}/"], **source}},
            "allow_hosts": [HOST, *hosts],
            "connect_to": dict.fromkeys((HOST, *hosts), f"127.0.0.1:{site.port}"),
            "delay_s": 0,
            "max_redirects": max_redirects,
        },
    }
    recipe = check_recipe(data, "grove.yaml")
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))
    folder = out / "crawl" / manifest_of(out, "crawl").fingerprint
    return {row["url"]: row for path in folder.glob("ledger-*") for row in pq.read_table(path).to_pylist()}


def _xml(body: str) -> Answer:
    return Answer(200, XML, f'<?xml version="1.0"?>{body}'.encode())


SITE: dict[str, bytes | str | Answer] = {
    "/robots.txt": Answer(200, {}, f"User-agent: *\nDisallow: /no\nSitemap: {HOME}/index.xml\n".encode()),
    "/": "<p>Nothing links from here.</p>",
    "/index.xml": _xml(f"<sitemapindex {NS}><sitemap><loc>{HOME}/map.xml.gz</loc></sitemap></sitemapindex>"),
    "/map.xml.gz": Answer(
        200,
        {"Content-Type": "application/gzip"},
        gzip.compress(
            f"""<urlset {NS}><url><loc>{HOME}/oak</loc><i:image><i:loc>{HOME}/oak.png</i:loc>
            <i:caption>An oak</i:caption></i:image></url><url><loc>{HOME}/no</loc></url>
            <url><loc>http://elsewhere.example/</loc></url></urlset>""".encode()
        ),
    ),
    "/oak": "<p>An oak.</p>",
    "/oak.png": b"png",
}


def test_what_sitemaps_list_is_crawled(tmp_path: Path):
    with serve(pages(SITE)) as site:
        rows = crawl(site, tmp_path)
    fates = {url.removeprefix(HOME): (row["kind"], row["fate"], row["reason"]) for url, row in rows.items()}
    assert fates == {
        "/": ("page", "kept", ""),
        "/index.xml": ("sitemap", "kept", ""),
        "/map.xml.gz": ("sitemap", "kept", ""),
        "/oak": ("page", "kept", ""),
        "/oak.png": ("image", "kept", ""),
        "/no": ("page", "rejected", "robots_disallowed"),
    }
    assert rows[f"{HOME}/map.xml.gz"]["detail"] == "1 other_host"


def test_sitemaps_are_left_alone_where_the_recipe_says_so(tmp_path: Path):
    with serve(pages(SITE)) as site:
        rows = crawl(site, tmp_path, sitemaps=False)
    assert list(rows) == [f"{HOME}/"]


def test_a_sitemap_that_is_none_is_rejected_with_its_reason(tmp_path: Path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><urlset><url><loc>&a;</loc></url></urlset>'
    with serve(pages({**SITE, "/index.xml": _xml(bomb)})) as site:
        rows = crawl(site, tmp_path)
    row = rows[f"{HOME}/index.xml"]
    assert (row["fate"], row["warc_offset"]) == ("rejected", -1)
    assert row["reason"].startswith("sitemap_")


def test_a_domain_takes_in_the_hosts_below_it(tmp_path: Path):
    content = {
        "/": '<a href="http://old.grove.example/">old</a><a href="http://grove.example.org/">other</a>',
    }
    with serve(pages(content)) as site:
        rows = crawl(site, tmp_path, f"old.{HOST}", "grove.example.org", domains=[HOST])
    assert sorted(rows) == [f"{HOME}/", "http://old.grove.example/"]


def test_seeds_and_sitemaps_lead_to_urls_without_tracking_parameters(tmp_path: Path):
    listed = _xml(f"<urlset {NS}><url><loc>{HOME}/oak?utm_source=map</loc></url></urlset>")
    with serve(pages({**SITE, "/index.xml": listed})) as site:
        rows = crawl(site, tmp_path, seeds=[f"{HOME}/?utm_source=recipe", f"{HOME}/?fbclid=1"])
    assert set(rows) == {f"{HOME}/", f"{HOME}/index.xml", f"{HOME}/oak"}
    told = seedbed("explain", tmp_path, f"{HOME}/oak?gclid=1").stdout
    assert f"{HOME}/oak\n" in told
    assert "never met" not in told


def test_redirects_from_host_to_host_are_followed_so_far(tmp_path: Path):
    def answer(host: str, path: str) -> Answer:
        if path in SITE_FILES:
            return NOT_FOUND
        if path == "/":
            return Answer(200, {"Content-Type": "text/html"}, b'<a href="/0">there</a>')
        other = f"left.{HOST}" if host == f"right.{HOST}" else f"right.{HOST}"
        return Answer(302, {"Location": f"http://{other}/{int(path[1:]) + 1}"}, b"")

    with serve(answer) as site:
        rows = crawl(site, tmp_path, f"left.{HOST}", f"right.{HOST}", max_redirects=2, domains=[HOST])
    reasons = [rows[url]["reason"] for url in sorted(rows, key=lambda url: url.rpartition("/")[2])]
    assert reasons == ["", "redirected", "redirected", "too_many_redirects"]
