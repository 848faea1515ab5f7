"""tdmrep.json by the report of the W3C Community Group, and where that leaves room, cautiously."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.tdmrep import MAX_TDMREP_BYTES, TdmRep, parse_tdmrep

ORIGIN = "https://trees.example"


def _reserves(rules: object, path: str) -> bool:
    return parse_tdmrep(json.dumps(rules).encode()).reserves(f"{ORIGIN}{path}")


def _rules(*pairs: tuple[str, object]) -> list[dict[str, object]]:
    return [{"location": location, "tdm-reservation": value} for location, value in pairs]


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("/directory-a/oak.pdf", True),
        ("/directory-b/html/oak.html", True),
        ("/directory-b/images/oak.jpg", False),
        ("/directory-b/images/oak.png", False),
        ("/directory-c/", False),
    ],
)
def test_the_example_of_the_report(path: str, reserved: bool):
    rules = _rules(("/directory-a/", 1), ("/directory-b/html/", 1), ("/directory-b/images/*.jpg", 0))
    rules[1]["tdm-policy"] = "https://provider.example/policies/policy.json"
    assert _reserves(rules, path) is reserved


@pytest.mark.parametrize(
    ("rules", "path", "reserved"),
    [
        (_rules(("/", 1)), "/", True),
        (_rules(("/oak$", 1)), "/oak", True),
        (_rules(("/oak$", 1)), "/oak/1", False),
        (_rules(("/*.jpg$", 1)), "/a/b.jpg", True),
        (_rules(("/foo-%24", 1)), "/foo-%24", True),
        (_rules(("/%6Fak", 1)), "/oak", True),
        (_rules(("/%6Fak", 0), ("/", 1)), "/oak", True),
        (_rules(("/Oak", 1)), "/oak", False),
        (_rules(("/bäume", 1)), "/b%C3%A4ume/1", True),
        (_rules(("/private/", 1), ("/", 0)), "/private/1", True),
        (_rules(("/press/", 0), ("/", 1)), "/press/1", False),
        (_rules(("/press/", 0), ("/", 1)), "/other", True),
        # The first in sequence and the most specific are two: the one that reserves holds.
        (_rules(("/", 1), ("/press/", 0)), "/press/1", True),
        (_rules(("/", 0), ("/private/", 1)), "/private/1", True),
        # Slips.
        ({"location": "/", "tdm-reservation": 1}, "/x", True),
        (_rules(("*", 1)), "/x", True),
        (_rules(("images/", 1)), "/images/1", True),
        (_rules(("https://trees.example/images/", 1)), "/images/1", True),
        (_rules(("https://trees.example", 1)), "/images/1", True),
        (_rules(("/", "1")), "/x", True),
        (_rules(("/", True)), "/x", True),
        (_rules(("/", 2)), "/x", False),
        (_rules(("/", None)), "/x", False),
        (_rules(("/", 2), ("/", 1)), "/x", True),
        ([{"tdm-reservation": 1}], "/x", False),
        ([{"location": 7, "tdm-reservation": 1}, "x", None, []], "/x", False),
        ([], "/x", False),
        ("x", "/x", False),
    ],
)
def test_rules_and_slips(rules: object, path: str, reserved: bool):
    assert _reserves(rules, path) is reserved


@pytest.mark.parametrize(
    ("body", "reserved"),
    [
        (b"", False),
        (b"<!doctype html><title>Not found</title>", False),
        (b'\xef\xbb\xbf[{"location": "/", "tdm-reservation": 1}]', True),
        (b'[{"location": "/a/", "tdm-reservation": 1,}]', True),
        (b'[{"location": "/a/", "tdm-reservation": 0,}]', False),
        (b'[{"location": "/", "tdm-reservation": 10,}]', False),
        (b'[{"location": "/", "tdm-reservation": 1}' + b" " * MAX_TDMREP_BYTES + b"]", True),
        (b"[" * 100_000, False),
        (b"9" * 5_000, False),
    ],
)
def test_a_file_that_cannot_be_read_reserves_only_where_it_says_so(body: bytes, reserved: bool):
    assert parse_tdmrep(body).reserves(f"{ORIGIN}/other") is reserved


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_bytes_give_rules(body: bytes | str):
    rules = parse_tdmrep(body if isinstance(body, bytes) else body.encode())
    assert isinstance(rules, TdmRep)
    assert isinstance(rules.reserves(f"{ORIGIN}/x"), bool)


@given(st.text(max_size=20), st.sampled_from([0, 1]), st.text(alphabet="ab*$%4/é", max_size=20))
def test_any_location_gives_a_decision(location: str, value: int, path: str):
    assert isinstance(_reserves(_rules((location, value)), f"/{path}"), bool)
