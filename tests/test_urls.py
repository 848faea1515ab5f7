"""URLs as browsers read them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.urls import (
    MAX_URL_LENGTH,
    TRACKING_PARAMETERS,
    canonical_url,
    host_of,
    is_within,
    origin_of,
    port_of,
    without_parameters,
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "url" / "urltestdata.json"


def _standard_cases() -> list[dict[str, str]]:
    """The cases of the URL standard's own test data whose result is an http or https URL without credentials."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here")
    cases = [case for case in json.loads(DATA.read_text("utf-8")) if isinstance(case, dict)]
    return [
        case
        for case in cases
        if case.get("protocol") in ("http:", "https:") and not case["username"] and not case["password"]
    ]


def _expected(case: dict[str, str]) -> str:
    return case["href"].partition("#")[0]


def test_urls_of_the_standard_are_read_as_the_standard_says():
    cases = _standard_cases()
    wrong = [case for case in cases if canonical_url(case["input"], case["base"]) != _expected(case)]
    assert len(cases) > 200
    assert wrong == []


def test_urls_of_the_standard_with_a_user_name_or_password_are_nobodys_to_use():
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here")
    cases = [case for case in json.loads(DATA.read_text("utf-8")) if isinstance(case, dict)]
    secret = [
        case for case in cases if case.get("protocol") in ("http:", "https:") and (case["username"] or case["password"])
    ]
    assert len(secret) > 10
    assert [case for case in secret if canonical_url(case["input"], case["base"]) is not None] == []


def test_inputs_the_standard_refuses_are_refused():
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here")
    cases = [case for case in json.loads(DATA.read_text("utf-8")) if isinstance(case, dict) and case.get("failure")]
    accepted = [case["input"] for case in cases if canonical_url(case["input"], case["base"]) is not None]
    assert len(cases) > 200
    assert accepted == []


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        ("HTTP://Trees.Example:80", None, "http://trees.example/"),
        ("https://trees.example:443/a/../b", None, "https://trees.example/b"),
        ("images\\oak.jpg", "http://trees.example/walk/1.html", "http://trees.example/walk/images/oak.jpg"),
        ("  /oak#crown ", "http://trees.example/", "http://trees.example/oak"),
        ("//pictures.example/x", "https://trees.example/", "https://pictures.example/x"),
        ("?page=2", "http://trees.example/list?page=1", "http://trees.example/list?page=2"),
        ("http://bücher.example/", None, "http://xn--bcher-kva.example/"),
        ("http://0x7f.1/", None, "http://127.0.0.1/"),
        ("http://①②⑦.⓪.⓪.①/", None, "http://127.0.0.1/"),
        ("mailto:oak@trees.example", None, None),
        ("javascript:void(0)", "http://trees.example/", None),
        ("data:image/png;base64,AAAA", "http://trees.example/", None),
        ("ftp://trees.example/", None, None),
        ("http://gardener:secret@trees.example/", None, None),
        ("http://gardener@trees.example/", None, None),
        ("/oak", None, None),
        ("http://", None, None),
        ("http://a b/", None, None),
        ("http://trees.example/" + "x" * MAX_URL_LENGTH, None, None),
        ("/\ud800", "http://trees.example/", "http://trees.example/%EF%BF%BD"),
    ],
)
def test_references_become_one_spelling_or_none(url: str, base: str | None, expected: str | None):
    assert canonical_url(url, base) == expected


@given(st.text(max_size=60))
def test_canonical_urls_stay_as_they_are(text: str):
    for url in (canonical_url("http://" + text), canonical_url(text, "http://trees.example/walk/")):
        if url is not None:
            assert canonical_url(url) == url
            assert url.isascii()
            assert "#" not in url


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?utm_source=mail&utm_medium=x", ""),
        ("?page=2&utm_source=mail", "?page=2"),
        ("?b=%2f&fbclid=1&a=+&a=1", "?b=%2f&a=+&a=1"),
        ("?UTM_Source=mail&Gclid=1&x", "?x"),
        ("?utm%5Fsource=mail", ""),
        ("?my_utm_source=1&gclid_=1&ref=1&source=1&id=1", "?my_utm_source=1&gclid_=1&ref=1&source=1&id=1"),
        ("?q=utm_source=1", "?q=utm_source=1"),
        ("?", "?"),
        ("?&&", "?&&"),
        ("?&gclid=1", "?"),
        ("?a?gclid=1", "?a?gclid=1"),
    ],
)
def test_parameters_that_only_track_are_dropped_and_no_other_byte(query: str, expected: str):
    assert without_parameters(f"http://trees.example/{query}") == f"http://trees.example/{expected}"
    assert without_parameters(f"http://trees.example/{query}", ()) == f"http://trees.example/{query}"


def test_which_parameters_are_dropped_is_up_to_the_recipe():
    url = "http://trees.example/?sid=1&session.id=2&sessionXid=3&utm_source=4"
    assert without_parameters(url, ("SID", "session.*")) == "http://trees.example/?sessionXid=3&utm_source=4"


_PARAMETERS = st.lists(
    st.sampled_from(["a=1", "a=2", "", "b=%20", "b", "=", "utm_id=1", "fbclid", "Gclid=%", "%75tm_x=1", "utm=1"])
    | st.text(max_size=8)
)


@given(_PARAMETERS.map("&".join), st.sampled_from([TRACKING_PARAMETERS, (), ("a", "*b"), ("*",)]))
def test_dropping_parameters_is_idempotent_and_keeps_the_rest_in_order(query: str, patterns: tuple[str, ...]):
    url = canonical_url(f"http://trees.example/?{query.replace('#', '')}")
    assert url is not None
    dropped = without_parameters(url, patterns)
    assert without_parameters(dropped, patterns) == dropped
    assert canonical_url(dropped) == dropped
    before, after = url.partition("?")[2].split("&"), dropped.partition("?")[2].split("&")
    left = iter(before)
    assert after == [""] or all(parameter in left for parameter in after)


def test_host_origin_and_port():
    assert host_of("http://trees.example.:8080/x") == "trees.example"
    assert host_of("http://[::1]/") == "::1"
    assert origin_of("http://[::1]:8080/x") == "http://[::1]:8080"
    assert port_of("http://trees.example/") == 80
    assert port_of("https://trees.example/") == 443
    assert port_of("https://trees.example:8443/") == 8443


@pytest.mark.parametrize(
    ("url", "hosts", "prefix", "expected"),
    [
        ("http://trees.example/", ["trees.example"], "/", True),
        ("http://www.trees.example/", ["trees.example"], "/", True),
        ("http://trees.example/", ["WWW.trees.example"], "/", True),
        ("http://not-trees.example/", ["trees.example"], "/", False),
        ("http://sub.trees.example/", ["trees.example"], "/", False),
        ("http://trees.example/walk/1", ["trees.example"], "/walk/", True),
        ("http://trees.example/walking", ["trees.example"], "/walk/", False),
        ("http://trees.example/", [], "/", False),
    ],
)
def test_scope_is_hosts_and_a_path(url: str, hosts: list[str], prefix: str, expected: bool):
    assert is_within(url, hosts, prefix) is expected
