"""The opt-outs of a site, its pages and its pictures, on a crawl: what is asked for, kept and recorded."""

import asyncio
import io
from collections.abc import Mapping

import pytest
from PIL import Image

from crawl.host import HostWork
from crawl.lane import visit_lane
from crawl.opt_outs import OptOuts
from crawl.records import Target, Visit
from crawl.settings import FetchSettings, Scope
from tests.loopback import NOT_FOUND, SITE_FILES, Answer, Site, serve

HOST, OTHER = "trees.example", "other.example"
HOME = f"http://{HOST}/"
ROBOTS, TDMREP, AI_TXT = SITE_FILES
HTML = {"Content-Type": "text/html"}
BODY = b'<a href="/a">a</a><img src="/1.png">'


def _page(body: bytes = BODY, **headers: str) -> Answer:
    return Answer(200, {**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}}, body)


def _picture(term: str | None = None, **headers: str) -> Answer:
    file = io.BytesIO()
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:p="http://ns.useplus.org/ldf/xmp/1.0/" p:DataMining="{term}"/>'
    Image.new("RGB", (8, 8)).save(file, "JPEG", xmp=xmp.encode() if term else b"")
    head = {"Content-Type": "image/jpeg", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Answer(200, head, file.getvalue())


def _tdmrep(*pairs: tuple[str, int]) -> Answer:
    rules = ",".join(f'{{"location": "{location}", "tdm-reservation": {value}}}' for location, value in pairs)
    return Answer(200, {"Content-Type": "application/json"}, f"[{rules}]".encode())


def _text(text: str) -> Answer:
    return Answer(200, {"Content-Type": "text/plain"}, text.encode())


def _crawl(content: Mapping[str, Answer], *targets: Target, **changes: object) -> tuple[dict[str, Visit], list[str]]:
    """Path to visit, and the paths asked for."""

    async def visit_all(settings: FetchSettings) -> list[Visit]:
        due = targets or (Target(HOME, "page", 0, "", ""),)
        return [visit async for visit in visit_lane([HostWork(HOST, list(due))], settings)]

    with serve(lambda host, path: content.get(path, NOT_FOUND) if host == HOST else _text("")) as site:
        visits = asyncio.run(visit_all(_settings(site, **changes)))
    return {visit.row.url.removeprefix(HOME[:-1]): visit for visit in visits}, [path for _, path in site.requests]


def _settings(site: Site, **changes: object) -> FetchSettings:
    return FetchSettings(
        contact="gardener@trees.example",
        scopes={"": Scope(hosts=(HOST,))},
        delay_s=0,
        timeout_s=5,
        max_attempts=1,
        allow_hosts=(HOST, OTHER),
        connect_to=dict.fromkeys((HOST, OTHER), f"127.0.0.1:{site.port}"),
        **changes,  # type: ignore[arg-type]
    )


def _told(visit: Visit) -> tuple[str, str]:
    """Reason, or "kept", and the signals recorded."""
    assert (visit.payload is None) is (visit.row.fate != "kept")
    return visit.row.reason or visit.row.fate, visit.row.opt_out


def test_the_files_of_a_site_are_asked_for_once_after_robots_txt():
    visits, asked = _crawl({"/": _page(), "/a": _page(), "/1.png": _picture()})
    assert asked == [*SITE_FILES, "/", "/a", "/1.png"]
    assert {_told(visit) for visit in visits.values()} == {("kept", "none")}
    assert {visit.row.attempts for visit in visits.values()} == {1}


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({"site_opt_outs": False}, (ROBOTS,)),
        ({"opt_outs": OptOuts(tdm=False)}, (ROBOTS, AI_TXT)),
        ({"opt_outs": OptOuts(ai_txt=False)}, (ROBOTS, TDMREP)),
    ],
)
def test_files_that_nobody_heeds_are_not_asked_for(changes: dict[str, object], files: tuple[str, ...]):
    content = {TDMREP: _tdmrep(("/a", 1)), AI_TXT: _text("User-Agent: *\nDisallow: /a\n"), "/": _page()}
    _, asked = _crawl(content, **changes)
    assert tuple(asked[: len(files) + 1]) == (*files, "/")


def test_robots_txt_comes_before_the_files_and_holds_for_them():
    rules = "User-agent: *\nDisallow: /.well-known/\n"
    visits, asked = _crawl({ROBOTS: _text(rules), TDMREP: _tdmrep(("/", 1)), "/": _page()})
    assert asked[:3] == [ROBOTS, AI_TXT, "/"]
    assert _told(visits["/"]) == ("kept", "none")
    _, asked = _crawl({ROBOTS: _text("User-agent: *\nDisallow: /\n"), TDMREP: _tdmrep(("/", 1))})
    assert asked == [ROBOTS]


def test_what_a_site_reserves_is_not_asked_for():
    content = {TDMREP: _tdmrep(("/a", 1), ("/*.png$", 1)), "/": _page(), "/a": _page(), "/1.png": _picture()}
    visits, asked = _crawl(content)
    assert asked == [*SITE_FILES, "/"]
    assert {path: _told(visit) for path, visit in visits.items()} == {
        "/": ("kept", "none"),
        "/a": ("opted_out_tdm", "tdm_reserved"),
        "/1.png": ("opted_out_tdm", "tdm_reserved"),
    }
    assert {(visit.row.attempts, visit.row.fate) for path, visit in visits.items() if path != "/"} == {(0, "rejected")}


def test_ai_txt_keeps_file_types_out():
    content = {AI_TXT: _text("User-Agent: *\nDisallow: *.png\n"), "/": _page(), "/a": _page(), "/1.png": _picture()}
    visits, asked = _crawl(content)
    assert asked == [*SITE_FILES, "/", "/a"]
    assert _told(visits["/1.png"]) == ("opted_out_ai_txt", "ai_txt_disallowed")
    assert _told(visits["/a"]) == ("kept", "none")


@pytest.mark.parametrize(
    "answer",
    [
        NOT_FOUND,
        Answer(503, {}, b""),
        Answer(429, {}, b""),
        Answer(200, HTML, b"<title>not found</title>"),
        Answer(200, {"Content-Encoding": "gzip"}, b"x"),
        Answer(302, {"Location": f"http://{OTHER}/tdmrep.json"}, b""),
        Answer(302, {"Location": TDMREP}, b""),
    ],
)
def test_a_file_that_cannot_be_had_states_nothing(answer: Answer):
    visits, asked = _crawl({TDMREP: answer, AI_TXT: answer, "/": _page(b"")})
    assert _told(visits["/"]) == ("kept", "none")
    assert "/tdmrep.json" not in asked, "that host may be another worker's"


def test_a_redirect_on_the_host_leads_to_the_file():
    content = {TDMREP: Answer(301, {"Location": "/tdm.json"}, b""), "/tdm.json": _tdmrep(("/", 1)), "/": _page()}
    visits, asked = _crawl(content)
    assert asked == [ROBOTS, TDMREP, "/tdm.json", AI_TXT]
    assert _told(visits["/"]) == ("opted_out_tdm", "tdm_reserved")


@pytest.mark.parametrize(
    ("page", "told", "paths"),
    [
        (_page(TDM_Reservation="1"), ("opted_out_tdm", "tdm_reserved"), ["/a"]),
        (_page(TDM_Reservation="0"), ("kept", "none"), ["/a", "/1.png"]),
        (_page(b'<meta name="tdm-reservation" content="1">' + BODY), ("opted_out_tdm", "tdm_reserved"), ["/a"]),
        (_page(b'<meta name="tdm-reservation" content="0">' + BODY), ("kept", "none"), ["/a", "/1.png"]),
        (
            _page(b'<meta name="tdm-reservation" content="0">' + BODY, TDM_Reservation="1"),
            ("opted_out_tdm", "tdm_reserved"),
            ["/a"],
        ),
        (
            _page(b'<meta name="seedbed" content="noimageai">' + BODY, X_Robots_Tag="noindex"),
            ("opted_out_noindex", "noimageai,noindex"),
            ["/a"],
        ),
        (_page(b'<meta name="robots" content="noimageindex">' + BODY), ("kept", "noimageindex"), ["/a"]),
    ],
)
def test_a_page_says_what_may_be_done_with_it_and_its_pictures(page: Answer, told: tuple[str, str], paths: list[str]):
    visits, asked = _crawl({"/": page, "/a": _page(b"a"), "/1.png": _picture()})
    assert _told(visits["/"]) == told
    assert asked == [*SITE_FILES, "/", *paths]


@pytest.mark.parametrize(("site", "header", "meta"), [(1, "0", b"0"), (0, "1", b"0"), (0, "0", b"1")])
def test_a_statement_for_use_takes_none_back(site: int, header: str, meta: bytes):
    page = _page(b'<meta name="tdm-reservation" content="' + meta + b'">', TDM_Reservation=header)
    visits, _ = _crawl({TDMREP: _tdmrep(("/", site)), "/": page})
    assert _told(visits["/"]) == ("opted_out_tdm", "tdm_reserved")


@pytest.mark.parametrize(
    ("picture", "told", "detail"),
    [
        (_picture(), ("kept", "none"), ""),
        (_picture("DMI-ALLOWED"), ("kept", "none"), ""),
        (_picture("DMI-PROHIBITED"), ("opted_out_xmp", "xmp_prohibited"), "DMI-PROHIBITED"),
        (_picture(TDM_Reservation="1"), ("opted_out_tdm", "tdm_reserved"), ""),
        (_picture("DMI-PROHIBITED", X_Robots_Tag="noai"), ("opted_out_noai", "noai"), ""),
    ],
)
def test_a_picture_says_what_may_be_done_with_it(picture: Answer, told: tuple[str, str], detail: str):
    visits, _ = _crawl({"/1.jpg": picture}, Target(f"{HOME}1.jpg", "image", 0, "", ""))
    assert _told(visits["/1.jpg"]) == told
    assert visits["/1.jpg"].row.detail == detail


def test_what_is_set_aside_is_kept_and_recorded():
    content = {
        "/": _page(b'<meta name="robots" content="noindex">' + BODY, TDM_Reservation="1"),
        "/1.png": _picture("DMI-PROHIBITED", X_Robots_Tag="noimageai"),
    }
    visits, _ = _crawl(content, opt_outs=OptOuts.of({"ai_txt"}))
    assert _told(visits["/"]) == ("kept", "noindex,tdm_reserved")
    assert _told(visits["/1.png"]) == ("kept", "noimageai,xmp_prohibited")
    visits, asked = _crawl(content, opt_outs=OptOuts(noindex=False, tdm=False))
    assert _told(visits["/"]) == ("kept", "noindex,tdm_reserved")
    assert _told(visits["/1.png"]) == ("opted_out_noai", "noimageai")
    assert AI_TXT in asked
