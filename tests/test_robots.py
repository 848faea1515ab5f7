"""robots.txt by the standard, and robots directives."""

import json
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.robots import MAX_ROBOTS_BYTES, Robots, RobotsDecision, parse_robots, robots_directives

DATA = Path(__file__).parents[2] / "shared" / "data" / "robots"
GOOGLE_CASES = DATA / "google-cases.json"
REAL_FILES = DATA / "robots-4231.tar.gz"
HOME = "http://trees.example/"


def _decide(robots_txt: str, path: str, agent: str = "seedbed") -> RobotsDecision:
    return parse_robots(200, robots_txt.encode()).decide(agent, f"http://trees.example{path}")


def test_all_cases_of_googles_parser_come_out_as_there():
    if not GOOGLE_CASES.exists():
        pytest.skip(f"{GOOGLE_CASES} is not here")
    cases = json.loads(GOOGLE_CASES.read_text("utf-8"))
    wrong = [
        case
        for case in cases
        if parse_robots(200, case["robots_txt"].encode("latin-1")).decide(case["agent"], case["url"]).allowed
        is not case["allowed"]
    ]
    assert len(cases) == 142
    assert wrong == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "rules"),
        (204, "rules"),
        (301, "unavailable"),
        (400, "absent"),
        (401, "absent"),
        (403, "absent"),
        (404, "absent"),
        (410, "absent"),
        (429, "unavailable"),
        (500, "unavailable"),
        (503, "unavailable"),
        (None, "unavailable"),
    ],
)
def test_the_status_of_robots_txt_says_what_may_be_asked(status: int | None, state: str):
    robots = parse_robots(status, b"")
    assert robots.state == state
    assert robots.decide("seedbed", "http://trees.example/").allowed is (state != "unavailable")


@pytest.mark.parametrize(
    ("robots_txt", "path", "rule", "allowed"),
    [
        ("User-agent: *\nDisallow: /private/\n", "/private/oak", "Disallow: /private/", False),
        ("User-agent: *\nDisallow: /private/\n", "/public/oak", "none", True),
        ("User-agent: *\nDisallow: /\nAllow: /oak\n", "/oak/1", "Allow: /oak", True),
        ("User-agent: *\nDisallow: /oak\nAllow: /oak\n", "/oak", "Allow: /oak", True),
        ("User-agent: *\nDisallow: /*.jpg$\n", "/a/b.jpg", "Disallow: /*.jpg$", False),
        ("User-agent: *\nDisallow: /*.jpg$\n", "/a/b.jpg?x", "none", True),
        ("User-agent: *\nDisallow: /\nUser-agent: Seedbed\nDisallow: /x\n", "/y", "none", True),
        ("User-agent: seedbed/2.0 beta\nDisallow: /\n", "/", "Disallow: /", False),
        ("User-agent: otherbot\nDisallow: /\n", "/", "none", True),
        ("User-agent: *\nDisallow:\n", "/", "none", True),
        ("User-agent: *\r\nDisallow: /oak # the old one\r\n", "/oak", "Disallow: /oak", False),
        ("\ufeffUser-agent: *\nDisallow: /oak\n", "/oak", "Disallow: /oak", False),
        ("User agent *\nDisalow /oak\n", "/oak", "none", True),
        ("User-agent: *\nDisalow: /oak\n", "/oak", "Disallow: /oak", False),
        ("User-agent: a\nSitemap: /x\nUser-agent: seedbed\nDisallow: /\n", "/", "Disallow: /", False),
        ("User-agent: seedbed\nCrawl-delay: 2\nUser-agent: a\nDisallow: /\n", "/", "Disallow: /", False),
        ("Disallow: /\nUser-agent: *\nDisallow: /x\n", "/y", "none", True),
        ("User-agent: *\nDisallow: /\n", "/robots.txt", "none", True),
        ("User-agent: *\nDisallow: /%62irch\n", "/birch", "Disallow: /%62irch", False),
        ("User-agent: *\nDisallow: /a b\n", "/a%20b", "Disallow: /a b", False),
        ("User-agent: *\nDisallow: /\nAllow: /%62irch\n", "/birch", "Disallow: /", False),
        ("User-agent: *\nDisallow: /caf\u00e9\n", "/caf%c3%a9", "Disallow: /caf\u00c3\u00a9", False),
        ("<html><body>no robots here</body></html>", "/", "none", True),
    ],
)
def test_the_longest_rule_decides_and_is_named(robots_txt: str, path: str, rule: str, allowed: bool):
    decision = _decide(robots_txt, path)
    assert (decision.allowed, decision.rule) == (allowed, rule)


@pytest.mark.parametrize(
    ("robots_txt", "delay_s"),
    [
        ("User-agent: *\nCrawl-delay: 7.5\nDisallow: /x\n", 7.5),
        ("User-agent: *\nCrawl-delay: 2\nUser-agent: seedbed\nDisallow: /x\n", None),
        ("User-agent: *\nCrawl-delay: 2\nCrawl-delay: 9\n", 9.0),
        ("User-agent: *\nCrawl-delay: soon\n", None),
        ("User-agent: *\nCrawl-delay: -1\n", None),
        ("User-agent: *\nCrawl-delay: inf\n", None),
    ],
)
def test_the_crawl_delay_is_that_of_our_group(robots_txt: str, delay_s: float | None):
    assert _decide(robots_txt, "/").delay_s == delay_s


def test_rules_up_to_500_kib_are_read():
    rules, last = b"User-agent: *\n#", b"\nDisallow: /late\n"
    text = rules + b"o" * (MAX_ROBOTS_BYTES - len(rules) - len(last)) + last
    assert len(text) == 500 * 1024
    assert not parse_robots(200, text).decide("seedbed", "http://trees.example/late").allowed


@given(st.binary(max_size=300), st.text(alphabet="/ab*$%?4", max_size=20))
def test_any_bytes_at_all_give_a_decision(body: bytes, path: str):
    robots = parse_robots(200, b"User-agent: *\nDisallow: " + body)
    assert isinstance(robots.decide("seedbed", f"http://trees.example/{path}"), RobotsDecision)


@given(st.text(alphabet="ab/", min_size=1, max_size=8), st.text(alphabet="ab/", max_size=8))
def test_a_pattern_covers_every_path_it_begins(prefix: str, rest: str):
    assert not _decide(f"User-agent: *\nDisallow: /{prefix}\n", f"/{prefix}{rest}").allowed


def test_patterns_full_of_stars_take_no_time():
    pattern = "/" + "*a" * 5_000
    assert _decide(f"User-agent: *\nDisallow: {pattern}b$\n", "/" + "a" * 7_000).allowed


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["noindex, NoFollow"], {"noindex", "nofollow"}),
        (["none"], {"none", "noindex", "nofollow"}),
        (["seedbed: noai, noindex"], {"noai", "noindex"}),
        (["otherbot: noai, noindex"], set()),
        (["otherbot: noai", "noimageai"], {"noimageai"}),
        (["otherbot: noai, seedbed: noindex"], {"noindex"}),
        (
            ["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"],
            {"unavailable_after: 25 jun 2030 15:00:00 pst", "noai"},
        ),
        (
            ["unavailable_after: Wed, 25 Jun 2030 15:00:00 PST, noai"],
            {"unavailable_after: wed", "25 jun 2030 15:00:00 pst", "noai"},
        ),
        (["max-image-preview:large"], {"max-image-preview:large"}),
        (["", " , "], set()),
    ],
)
def test_directives_for_other_crawlers_are_not_ours(values: list[str], expected: set[str]):
    assert robots_directives(values, "seedbed") == expected


def test_an_origin_without_robots_txt_allows_all():
    assert Robots("absent").decide("seedbed", "http://trees.example/x") == RobotsDecision(True, "none", None)


@pytest.fixture(scope="module")
def real_files() -> dict[str, bytes]:
    """Host to robots.txt, as fetched."""
    if not REAL_FILES.exists():
        pytest.skip(f"{REAL_FILES} is not here")
    with tarfile.open(REAL_FILES) as archive:
        files = [member for member in archive if member.isfile() and "/test_data/" in member.name]
        return {member.name.rpartition("/")[2]: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


def test_4231_real_files_are_read_and_decided_without_an_exception(real_files: dict[str, bytes]):
    assert len(real_files) == 4_231
    decisions = [
        robots.decide(agent, url)
        for robots in (parse_robots(200, body) for body in real_files.values())
        for agent in ("seedbed", "Googlebot-Image")
        for url in ("http://trees.example/", "http://trees.example/images/oak%2f1.jpg?width=512&sort=name")
    ]
    assert all(decision.rule.startswith(("Allow: ", "Disallow: ", "none")) for decision in decisions)
    assert Counter(decision.allowed for decision in decisions) == {True: 16_322, False: 602}


def test_a_file_of_19_000_rules_decides_as_fast_as_a_small_one(real_files: dict[str, bytes]):
    robots = parse_robots(200, real_files["docs.oracle.com"])
    assert len(robots.groups["*"].rules) > 19_000
    robots.decide("seedbed", HOME)
    began = time.process_time()
    for _ in range(100):
        robots.decide("seedbed", "http://docs.example/trees/oak-and-ash/page.html?id=7&sort=name")
    # Trying every rule takes 3 s; looking up those that may match, 5 ms.
    assert time.process_time() - began < 0.5


def test_of_two_rules_as_long_as_each_other_the_first_is_named():
    assert _decide("User-agent: *\nDisallow: /oak/\nDisallow: /oak*\n", "/oak/").rule == "Disallow: /oak/"
    assert _decide("User-agent: *\nDisallow: /oak*\nDisallow: /oak/\n", "/oak/").rule == "Disallow: /oak*"
