"""A lane: who is asked for what, in which order, how politely, and what becomes of it."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from crawl.host import HostWork
from crawl.lane import visit_lane
from crawl.records import Kind, LinkRow, Target, Visit, link_of, target_of
from crawl.settings import FetchSettings, Follow, HostSpent, Scope, is_wanted
from crawl.urls import host_of
from tests.loopback import NOT_FOUND, Answer, Site, serve

HTML = {"Content-Type": "text/html; charset=utf-8"}
PNG = Answer(200, {"Content-Type": "image/png"}, b"\x89PNG")
HOST = "trees.example"
HOME = f"http://{HOST}/"


def _page(body: str, **headers: str) -> Answer:
    return Answer(200, {**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}}, body.encode())


def _moved(location: str) -> Answer:
    return Answer(302, {"Location": location}, b"")


def _settings(site: Site, *hosts: str) -> FetchSettings:
    names = hosts or (HOST,)
    return FetchSettings(
        contact="gardener@trees.example",
        scopes={"": Scope(names)},
        delay_s=0,
        allow_hosts=names,
        connect_to=dict.fromkeys(names, f"127.0.0.1:{site.port}"),
        timeout_s=5,
        site_opt_outs=False,
    )


def _target(url: str = HOME, kind: str = "page") -> Target:
    return Target(url, "image" if kind == "image" else "page", 0, "", "")


def _visit_all(
    targets: list[Target],
    settings: FetchSettings,
    known: frozenset[str] = frozenset(),
    spent: Mapping[str, HostSpent] | None = None,
) -> list[Visit]:
    hosts: dict[str, list[Target]] = {}
    for target in targets:
        hosts.setdefault(host_of(target.url), []).append(target)
    works = [HostWork(host, due, known, (spent or {}).get(host, HostSpent())) for host, due in hosts.items()]

    async def visit_all() -> list[Visit]:
        return [visit async for visit in visit_lane(works, settings)]

    return asyncio.run(visit_all())


def _crawl(content: Mapping[str, Answer], *targets: Target, **changes: object) -> tuple[list[Visit], list[str]]:
    """Visits a site on one host; gives the visits and the paths that were asked for."""
    with serve(lambda host, path: content.get(path, NOT_FOUND)) as site:
        settings = replace(_settings(site), **changes)  # type: ignore[arg-type]
        visits = _visit_all(list(targets) or [_target()], settings)
    return visits, [path for _, path in site.requests]


def _fates(visits: list[Visit]) -> dict[str, str]:
    """Path to fate and reason."""
    return {
        visit.row.url.removeprefix(f"http://{HOST}"): f"{visit.row.fate} {visit.row.reason}".strip() for visit in visits
    }


def test_a_site_is_visited_breadth_first_in_the_order_found():
    content = {
        "/": _page('<a href="/b">b</a><img src="/1.png"><a href="/a">a</a><a href="/gone">x</a>'),
        "/a": _page('<a href="/c">c</a><a href="/">home</a><img src="/1.png">'),
        "/b": _page('<a href="/a">a</a><a href="/d">d</a>'),
        "/c": _page("c"),
        "/d": _page("d"),
        "/1.png": PNG,
    }
    visits, asked = _crawl(content)
    assert asked == ["/robots.txt", "/", "/b", "/1.png", "/a", "/gone", "/d", "/c"]
    assert [visit.row.url for visit in visits] == [f"http://{HOST}{path}" for path in asked[1:]]
    assert _fates(visits)["/gone"] == "failed http_404"
    assert [visit.row.depth for visit in visits] == [0, 1, 1, 1, 1, 2, 2]


def test_a_picture_that_links_to_itself_is_fetched_as_a_picture():
    content = {"/": _page('<a href="/1.png"><img src="/1.png" alt="An oak"></a><a href="/a">a</a>'), "/a": _page("a")}
    visits, asked = _crawl({**content, "/1.png": PNG})
    assert asked == ["/robots.txt", "/", "/1.png", "/a"]
    assert _fates(visits) == {"/": "kept", "/1.png": "kept", "/a": "kept"}
    assert [visit.row.kind for visit in visits] == ["page", "image", "page"]
    assert [link.kind for link in visits[0].links] == ["page", "image", "page"]


def test_a_kept_page_has_a_full_row_its_bytes_and_its_links():
    (visit, *_), _ = _crawl({"/": _page('<img src="/1.png" alt="An oak">', Server="x"), "/1.png": PNG})
    row = visit.row
    assert (row.url, row.final_url, row.host, row.kind, row.fate, row.reason) == (HOME, HOME, HOST, "page", "kept", "")
    assert (row.status, row.media_type, row.num_bytes, row.attempts) == (200, "text/html", 31, 1)
    assert row.sha256 == hashlib.sha256(b'<img src="/1.png" alt="An oak">').hexdigest()
    assert (row.warc_file, row.warc_offset, row.robots_rule, row.opt_out) == ("", -1, "none", "none")
    assert time.strptime(row.fetched_at, "%Y-%m-%dT%H:%M:%SZ")
    assert visit.payload == b'<img src="/1.png" alt="An oak">'
    assert visit.http_head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [(link.to_url, link.caption, link.depth) for link in visit.links] == [(f"{HOME}1.png", "An oak", 1)]


def test_forbidden_paths_are_never_asked_for():
    content = {
        "/robots.txt": Answer(200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /private/\n"),
        "/": _page('<a href="/private/1">1</a><img src="/private/2.png"><a href="/moved">m</a>'),
        "/moved": _moved("/private/3"),
    }
    visits, asked = _crawl(content)
    assert asked == ["/robots.txt", "/", "/moved"]
    assert _fates(visits) == {
        "/": "kept",
        "/private/1": "rejected robots_disallowed",
        "/private/2.png": "rejected robots_disallowed",
        "/moved": "rejected redirected",
        "/private/3": "rejected robots_disallowed",
    }
    assert {visit.row.robots_rule for visit in visits if visit.row.attempts == 0} == {"Disallow: /private/"}


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (Answer(503, {}, b""), "failed robots_unavailable"),
        (Answer(429, {}, b""), "failed robots_unavailable"),
        (_moved("/robots.txt"), "failed robots_unavailable"),
        (Answer(403, {}, b""), "kept"),
        (NOT_FOUND, "kept"),
        (
            Answer(200, {"Content-Type": "text/plain"}, b"User-agent: *\nCrawl-delay: 3600\n"),
            "failed crawl_delay_too_long",
        ),
    ],
)
def test_without_leave_from_robots_txt_nothing_is_asked_for(robots: Answer, reason: str):
    visits, asked = _crawl({"/robots.txt": robots, "/": _page("x")})
    assert _fates(visits) == {"/": reason}
    assert ("/" in asked) is (reason == "kept")


def test_robots_txt_may_be_a_few_redirects_away():
    hops = {f"/{n}": _moved(f"/{n + 1}") for n in range(1, 5)}
    rules = Answer(200, {}, b"User-agent: *\nDisallow: /\n")
    visits, asked = _crawl({"/robots.txt": _moved("/1"), **hops, "/5": rules})
    assert _fates(visits) == {"/": "rejected robots_disallowed"}
    assert asked == ["/robots.txt", "/1", "/2", "/3", "/4", "/5"]


@pytest.mark.parametrize(
    ("home", "fate", "opt_out", "paths"),
    [
        (_page('<meta name="robots" content="noai">'), "rejected opted_out_noai", "noai", ["/a"]),
        (_page('<meta name="robots" content="noindex">'), "rejected opted_out_noindex", "noindex", ["/a"]),
        (_page('<meta name="robots" content="noindex,noai">'), "rejected opted_out_noai", "noai,noindex", ["/a"]),
        (_page('<meta name="robots" content="noai,nofollow">'), "rejected opted_out_noai", "noai", []),
        (_page('<meta name="seedbed" content="noimageai">'), "kept", "noimageai", ["/a"]),
        (_page("", X_Robots_Tag="noai"), "rejected opted_out_noai", "noai", ["/a"]),
        (_page("", X_Robots_Tag="otherbot: noai"), "kept", "none", ["/a", "/1.png"]),
        (_page("", X_Robots_Tag="seedbed: none"), "rejected opted_out_noindex", "noindex", []),
    ],
)
def test_pages_that_opt_out_are_fetched_and_not_kept(home: Answer, fate: str, opt_out: str, paths: list[str]):
    body = home.body + b'<a href="/a">a</a><img src="/1.png">'
    visits, asked = _crawl({"/": home._replace(body=body), "/a": _page("a"), "/1.png": PNG})
    assert _fates(visits)["/"] == fate
    assert visits[0].row.opt_out == opt_out
    assert (visits[0].payload is None) is (fate != "kept")
    assert asked == ["/robots.txt", "/", *paths]


@pytest.mark.parametrize(
    ("tag", "fate"),
    [
        ("noai", "rejected opted_out_noai"),
        ("noimageai", "rejected opted_out_noai"),
        ("noindex", "rejected opted_out_noindex"),
        ("noimageindex", "rejected opted_out_noindex"),
        ("nofollow", "kept"),
    ],
)
def test_pictures_opt_out_in_their_headers(tag: str, fate: str):
    picture = Answer(200, {"Content-Type": "image/png", "X-Robots-Tag": tag}, b"png")
    (visit,), _ = _crawl({"/1.png": picture}, _target(f"{HOME}1.png", "image"))
    assert _fates([visit]) == {"/1.png": fate}
    assert (visit.row.opt_out, visit.payload) == ((tag, None) if fate != "kept" else ("none", b"png"))


@pytest.mark.parametrize(
    ("kind", "media_type", "fate"),
    [
        ("page", "text/html", "kept"),
        ("page", "application/xhtml+xml; charset=utf-8", "kept"),
        ("page", "application/pdf", "rejected unwanted_type"),
        ("page", "image/png", "rejected unwanted_type"),
        ("image", "image/PNG", "kept"),
        ("image", "image/svg+xml", "rejected unwanted_type"),
        ("image", "text/html", "rejected unwanted_type"),
    ],
)
def test_only_wanted_types_are_kept(kind: str, media_type: str, fate: str):
    (visit,), _ = _crawl({"/x": Answer(200, {"Content-Type": media_type}, b"x")}, _target(f"{HOME}x", kind))
    assert f"{visit.row.fate} {visit.row.reason}".strip() == fate
    assert visit.row.num_bytes == (1 if fate == "kept" else 0)


def test_a_redirect_is_followed_on_its_host_with_what_stood_beside_the_link():
    content = {"/": _page('<img src="/old.png" alt="Oak">'), "/old.png": _moved("new.png"), "/new.png": PNG}
    visits, asked = _crawl(content)
    assert asked == ["/robots.txt", "/", "/old.png", "/new.png"]
    assert _fates(visits) == {"/": "kept", "/old.png": "rejected redirected", "/new.png": "kept"}
    assert visits[1].row.final_url == f"{HOME}new.png"
    found = visits[0].links[0]
    assert visits[1].links == (replace(found, to_url=f"{HOME}new.png", num_redirects=1),)


def test_redirects_that_lead_nowhere_end():
    content = {
        "/": _page('<a href="/self">s</a><a href="/left">l</a><a href="/right">r</a><a href="/mail">m</a>'),
        "/self": _moved("/self"),
        "/left": _moved("/right"),
        "/right": _moved("/left"),
        "/mail": _moved("mailto:a@b"),
    }
    visits, _ = _crawl(content)
    assert _fates(visits) == {
        "/": "kept",
        "/self": "failed redirect_loop",
        "/left": "rejected redirected",
        "/right": "failed redirect_loop",
        "/mail": "failed bad_redirect",
    }


def test_redirects_are_followed_so_far_and_no_further():
    content = {f"/{n}": _moved(f"/{n + 1}") for n in range(10)}
    visits, asked = _crawl(content, _target(f"{HOME}0"), max_redirects=3)
    assert asked == ["/robots.txt", "/0", "/1", "/2", "/3"]
    assert _fates(visits)["/3"] == "failed too_many_redirects"


def test_a_url_with_tracking_parameters_is_the_same_url():
    links = '<a href="/a?utm_source=x&n=1">a</a><a href="/a?n=1&fbclid=2">a</a><a href="/b?gclid=1">b</a>'
    content = {"/": _page(links), "/a?n=1": _page("a"), "/b": _moved("/a?n=1&utm_medium=moved")}
    visits, asked = _crawl(content)
    assert asked == ["/robots.txt", "/", "/a?n=1", "/b"]
    assert [link.to_url for link in visits[0].links] == [f"{HOME}a?n=1", f"{HOME}a?n=1", f"{HOME}b"]
    assert visits[2].row.final_url == f"{HOME}a?n=1"
    visits, asked = _crawl({**content, "/": _page('<a href="/b?gclid=1">b</a>')}, drop_parameters=())
    assert asked[2:] == ["/b?gclid=1"]


def test_a_site_that_insists_on_its_tracking_parameters_is_asked_with_them():
    visits, asked = _crawl({"/": _moved("/?utm_source=home"), "/?utm_source=home": _page("x")})
    assert asked == ["/robots.txt", "/", "/?utm_source=home"]
    assert _fates(visits) == {"/": "rejected redirected", "/?utm_source=home": "kept"}


def test_what_lies_on_other_hosts_comes_out_as_links_only():
    content = {"/": _page('<a href="http://other.example/">o</a><img src="http://pictures.example/1.png">')}
    (visit,), asked = _crawl(content)
    assert asked == ["/robots.txt", "/"]
    assert [link.to_url for link in visit.links] == ["http://other.example/", "http://pictures.example/1.png"]


def test_faults_that_may_pass_are_asked_again_and_counted():
    answers = {"/": iter([Answer(503, {}, b""), Answer(500, {}, b""), _page("at last")])}
    with serve(lambda host, path: next(answers[path]) if path in answers else NOT_FOUND) as site:
        (visit,) = _visit_all([_target()], _settings(site))
    assert (visit.row.fate, visit.row.attempts) == ("kept", 3)
    (visit,), asked = _crawl({"/": Answer(503, {"Retry-After": "0"}, b"")}, max_attempts=2)
    assert (visit.row.reason, visit.row.attempts, asked.count("/")) == ("http_503", 2, 2)
    (visit,), asked = _crawl({"/": Answer(503, {"Retry-After": "4000"}, b"")})
    assert (visit.row.reason, visit.row.attempts) == ("http_503", 1)
    (visit,), asked = _crawl({})
    assert (visit.row.reason, visit.row.attempts, asked.count("/")) == ("http_404", 1, 1)


def test_an_unreachable_host_fails_each_url_with_the_reason():
    with serve(lambda host, path: NOT_FOUND) as site:
        pass
    visits = _visit_all([_target(), _target(f"{HOME}x")], _settings(site))
    assert _fates(visits) == {"/": "failed connection_failed", "/x": "failed connection_failed"}
    assert {(visit.row.attempts, visit.row.robots_rule) for visit in visits} == {(0, "unavailable")}
    assert all(visit.row.detail.startswith("robots.txt: ") for visit in visits)


def test_a_host_that_falls_silent_is_left_alone_and_the_rest_fails_for_now():
    links = "".join(f'<a href="/{n}">x</a>' for n in range(9))

    def answer(host: str, path: str) -> Answer:
        if path not in ("/robots.txt", "/"):
            time.sleep(0.5)
        return NOT_FOUND if path == "/robots.txt" else _page(links)

    with serve(answer) as site:
        visits = _visit_all([_target()], replace(_settings(site), timeout_s=0.1, max_attempts=1))
    assert list(_fates(visits).values()) == ["kept"] + ["failed timeout"] * 5 + ["failed host_down"] * 4
    assert len(site.requests) == 2 + 5
    assert {visit.row.attempts for visit in visits[6:]} == {0}
    assert visits[6].row.detail == f"{HOST} answered none of 5 requests in a row"


def test_private_addresses_are_rejected_before_any_request():
    with serve(lambda host, path: _page("secret")) as site:
        settings = replace(_settings(site), allow_hosts=())
        visits = _visit_all([_target(), _target(f"http://127.0.0.1:{site.port}/"), _target("http://[::1]/")], settings)
    assert {(visit.row.fate, visit.row.reason) for visit in visits} == {("rejected", "address_refused")}
    assert site.requests == []


def test_too_big_and_badly_coded_answers_fail():
    content = {"/big": _page("x" * 2_000), "/bad": _page("x", Content_Encoding="gzip")}
    visits, _ = _crawl(content, _target(f"{HOME}big"), _target(f"{HOME}bad"), max_page_bytes=1_000)
    assert _fates(visits) == {"/big": "failed too_many_bytes", "/bad": "failed bad_encoding"}


def test_hostile_pages_are_rejected_with_their_reason():
    visits, _ = _crawl({"/": _page("<div>" * 5_000)})
    assert (visits[0].row.fate, visits[0].row.reason, visits[0].payload) == ("rejected", "nested_too_deeply", None)


def test_a_budget_counts_what_a_host_has_had_before():
    pages = {f"/{n}": _page("x") for n in range(5)}
    content = {"/": _page("".join(f'<a href="/{n}">x</a><img src="/{n}.png">' for n in range(5))), **pages}
    with serve(lambda host, path: PNG if path.endswith(".png") else content.get(path, NOT_FOUND)) as site:
        settings = replace(_settings(site), max_pages_per_host=6, max_pictures_per_host=2)
        visits = _visit_all([_target()], settings, spent={HOST: HostSpent(pages=3, pictures=1)})
    fates = list(_fates(visits).values())
    assert (fates.count("kept"), fates.count("rejected budget")) == (4, 7)
    assert len(site.requests) == 1 + 4


def test_the_rest_of_a_long_round_stays_due():
    content = {"/": _page("".join(f'<a href="/{n}">x</a>' for n in range(5)))}
    visits, asked = _crawl(content, max_urls_per_host=3)
    assert [visit.row.url for visit in visits] == [HOME, f"{HOME}0", f"{HOME}1"]
    assert len(asked) == 4
    visits, asked = _crawl(content, round_time_s=0)
    assert (visits, asked) == ([], [])


def test_known_urls_are_never_visited_again():
    with serve(lambda host, path: _page('<a href="/a">a</a><a href="/b">b</a>')) as site:
        visits = _visit_all([_target(), _target(), _target(f"{HOME}b")], _settings(site), frozenset({f"{HOME}a"}))
    assert [visit.row.url for visit in visits] == [HOME, f"{HOME}b"]


def test_scope_and_depth_bound_what_is_followed():
    content = {"/w/": _page('<a href="/w/1">x</a><a href="/v">x</a>'), "/w/1": _page('<a href="/w/2">x</a>')}
    visits, _ = _crawl(content, _target(f"{HOME}w/"), scopes={"": Scope((HOST,), path_prefix="/w/", max_depth=1)})
    assert [visit.row.url for visit in visits] == [f"{HOME}w/", f"{HOME}w/1"]
    assert [link.to_url for link in visits[1].links] == [f"{HOME}w/2"]


@pytest.mark.parametrize(
    ("kind", "url", "depth", "wanted"),
    [
        ("page", "http://trees.example/walk/1", 2, True),
        ("page", "http://www.trees.example/walk/1", 2, True),
        ("page", "http://trees.example/walk/1", 3, False),
        ("page", "http://trees.example/shop", 1, False),
        ("page", "http://other.example/walk/1", 1, False),
        ("image", "http://pictures.example/1.png", 9, True),
        ("image", "http://trees.example/1.png", 1, False),
    ],
)
def test_what_is_wanted(kind: str, url: str, depth: int, wanted: bool):
    walk = Scope(("trees.example",), path_prefix="/walk/", max_depth=2, picture_hosts=("pictures.example",))
    scopes = {"walk": walk, "anywhere": replace(walk, picture_hosts=None)}
    settings = FetchSettings(contact="x", scopes=scopes)
    link = LinkRow(HOME, url, "image" if kind == "image" else "page", depth=depth, source="walk")
    assert is_wanted(link, settings) is wanted
    assert is_wanted(replace(link, source="anywhere"), settings) is (wanted or kind == "image")
    assert not is_wanted(replace(link, source="elsewhere"), settings)


@pytest.mark.parametrize(
    ("follow", "kind", "depth", "wanted"),
    [
        ("nothing", "page", 0, True),
        ("nothing", "image", 0, True),
        ("nothing", "image", 1, False),
        ("pictures", "image", 1, True),
        ("pictures", "page", 1, False),
        ("links", "page", 1, True),
    ],
)
def test_what_a_source_follows(follow: Follow, kind: Kind, depth: int, wanted: bool):
    settings = FetchSettings(contact="x", scopes={"listed": Scope(None, follow=follow)})
    assert is_wanted(LinkRow("", "http://anywhere.example/", kind, depth=depth, source="listed"), settings) is wanted


def test_a_host_is_asked_one_thing_at_a_time_with_pauses_and_others_meanwhile():
    hosts = ("a.example", "b.example", "c.example")
    active: dict[str, int] = dict.fromkeys(hosts, 0)
    times: dict[str, list[float]] = {host: [] for host in hosts}
    at_once: list[int] = []
    at_once_on_a_host: list[int] = []
    lock = threading.Lock()

    def answer(host: str, path: str) -> Answer:
        with lock:
            active[host] += 1
            at_once.append(sum(active.values()))
            at_once_on_a_host.append(active[host])
            times[host].append(time.monotonic())
        time.sleep(0.1)
        with lock:
            active[host] -= 1
        return _page('<a href="/1">1</a><a href="/2">2</a>') if path == "/" else NOT_FOUND

    with serve(answer) as site:
        settings = replace(_settings(site, *hosts), delay_s=0.2)
        visits = _visit_all([_target(f"http://{host}/") for host in hosts], settings)
    assert len(visits) == 9
    assert max(at_once) == 3
    assert max(at_once_on_a_host) == 1
    for host in hosts:
        pauses = [after - before for before, after in zip(times[host], times[host][1:], strict=False)]
        assert len(pauses) == 3
        assert min(pauses) >= 0.3


def test_a_crawl_delay_of_robots_txt_is_kept():
    times: list[float] = []

    def answer(host: str, path: str) -> Answer:
        times.append(time.monotonic())
        rules = Answer(200, {}, b"User-agent: *\nCrawl-delay: 0.4\n")
        return rules if path == "/robots.txt" else _page('<a href="/1">1</a>')

    with serve(answer) as site:
        _visit_all([_target()], _settings(site))
    assert len(times) == 3
    assert times[1] - times[0] >= 0.4, "the pause after robots.txt itself"
    assert times[2] - times[1] >= 0.4


def test_the_order_on_a_host_does_not_depend_on_other_hosts():
    def answer(host: str, path: str) -> Answer:
        links = "".join(f'<a href="{path.rstrip("/")}/{n}">x</a>' for n in range(3)) if len(path) < 3 else ""
        return NOT_FOUND if path == "/robots.txt" else _page(links)

    hosts = ("a.example", "b.example", "c.example")
    orders = []
    for names in (hosts, hosts[::-1], hosts[:1]):
        with serve(answer) as site:
            visits = _visit_all([_target(f"http://{name}/") for name in names], _settings(site, *hosts))
        orders.append([visit.row.url for visit in visits if visit.row.host == "a.example"])
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0]) == 13


def test_leaving_early_stops_the_asking():
    async def first() -> Visit:
        lane = visit_lane([HostWork(HOST, [_target()])], settings)
        try:
            async for visit in lane:
                return visit
            raise AssertionError("nothing was visited")
        finally:
            await lane.aclose()

    with serve(lambda host, path: _page(f'<a href="{path}x">x</a>')) as site:
        settings = _settings(site)
        assert asyncio.run(first()).row.url == HOME
        asked = len(site.requests)
        time.sleep(0.1)
        assert len(site.requests) == asked


def test_a_target_takes_along_all_that_stood_beside_its_link():
    link = LinkRow(HOME, f"{HOME}1.png", "image", "Oak", "alt", "CC0-1.0", "http://x/", "A. Gardener", 4)
    assert target_of(link) == Target(
        f"{HOME}1.png", "image", 4, HOME, "Oak", 0, "alt", "CC0-1.0", "http://x/", "A. Gardener"
    )
    assert link_of(target_of(link), link.to_url) == link
    assert link_of(target_of(link), f"{HOME}2.png") == replace(link, to_url=f"{HOME}2.png")
