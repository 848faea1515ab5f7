"""What pages and files say of a picture's licence, against cases written by hand."""

from io import BytesIO

import pytest
from packaging.licenses._spdx import LICENSES
from PIL import Image

from crawl.html import read_page
from crawl.licence_in_file import statements_in_file
from crawl.licence_statements import CONFLICT, Licence, Statement, combined, judge_licence, statement_of_row
from crawl.licences import spdx_of_name, spdx_of_url
from tests.licence_fixtures import IPTC, LINKS, RDFA, SCHEMA, XMP, Case

PAGE, PICTURE = "https://trees.example/walk/", "https://trees.example/walk/oak.jpg"


def _of_page(body: str) -> tuple[str, str]:
    """All that a page says where it shows the picture, once or more often."""
    links = [link for link in read_page(body.encode(), PAGE, "utf-8", 256).links if link.to_url == PICTURE]
    assert links
    found = combined(
        statement_of_row(each.licence, each.licence_url, each.author, each.licence_method) for each in links
    )
    return found.licence, found.author


def _jpeg(segments: bytes) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), "green").save(file, "JPEG")
    return file.getvalue()[:2] + segments + file.getvalue()[2:]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _with_xmp(packet: str) -> bytes:
    return _jpeg(_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()))


def _with_iptc(notice: str) -> bytes:
    records = b"".join(
        bytes([0x1C, 2, number]) + len(text.encode()).to_bytes(2, "big") + text.encode()
        for number, text in ((80, "Ann Oak"), (116, notice))
    )
    block = b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + records + b"\0" * (len(records) % 2)
    return _jpeg(_segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x02ab" + block))


def _of_file(data: bytes) -> tuple[str, str]:
    found = combined(statements_in_file(data))
    return found.licence, found.author


def _name(case: Case) -> str:
    return case[0]


@pytest.mark.parametrize("case", [*LINKS, *RDFA, *SCHEMA], ids=_name)
def test_what_a_page_says_of_a_picture(case: Case):
    assert _of_page(case[1]) == case[2:]


@pytest.mark.parametrize("case", XMP, ids=_name)
def test_what_xmp_says_of_a_picture(case: Case):
    assert _of_file(_with_xmp(case[1])) == case[2:]


@pytest.mark.parametrize("case", IPTC, ids=_name)
def test_what_iptc_says_of_a_picture(case: Case):
    assert _of_file(_with_iptc(case[1])) == case[2:]


def test_there_are_cases_enough_with_and_without_a_licence():
    cases = [*LINKS, *RDFA, *SCHEMA, *XMP, *IPTC]
    assert len(cases) >= 100
    assert sum(case[2] != "unknown" for case in cases) >= 60


CC_BY, ZERO = frozenset({"CC-BY-4.0"}), frozenset({"CC0-1.0"})
DEED = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], Licence()),
        ([Statement("rel", CC_BY, DEED)], Licence("CC-BY-4.0", DEED, "unknown", "rel")),
        ([Statement("iptc", CC_BY), Statement("xmp", CC_BY, DEED)], Licence("CC-BY-4.0", DEED, "unknown", "xmp")),
        (
            [Statement("xmp", author="Ann"), Statement("api", CC_BY, author="Bo")],
            Licence("CC-BY-4.0", author="Bo", method="api"),
        ),
        ([Statement("rel", CC_BY, DEED), Statement("xmp", ZERO, author="Ann")], Licence(author="Ann", method=CONFLICT)),
        (
            [Statement("rel", frozenset({"LicenseRef-other"}), "https://a.example/")],
            Licence(url="https://a.example/", method="rel"),
        ),
        (
            [Statement("words", frozenset({"CC-BY-3.0-DE"})), Statement("link", frozenset({"CC-BY-3.0"}), DEED)],
            Licence("CC-BY-3.0-DE", DEED, method="link"),
        ),
        ([Statement("json_ld", url="https://a.example/buy")], Licence(url="https://a.example/buy")),
    ],
)
def test_statements_come_to_one_licence_or_none(statements: list[Statement], expected: Licence):
    assert combined(statements) == expected
    assert combined(statements[::-1]) == expected


@pytest.mark.parametrize(
    ("licence", "allowed", "reason"),
    [
        ("CC-BY-4.0", "any", None),
        ("unknown", "any", None),
        ("CC-BY-4.0", "known", None),
        ("unknown", "known", "unknown_licence"),
        ("CC-BY-4.0", ["CC0-1.0", "CC-BY-4.0"], None),
        ("CC-BY-NC-4.0", ["CC0-1.0", "CC-BY-4.0"], "licence_not_allowed"),
        ("unknown", ["unknown", "CC-BY-4.0"], "unknown_licence"),
    ],
)
def test_an_unknown_licence_never_counts_as_permitted(licence: str, allowed: str | list[str], reason: str | None):
    verdict = judge_licence(Licence(licence), allowed)
    assert (verdict.reason if verdict else None) == reason


def test_identifiers_are_those_that_the_list_has():
    listed = {licence["id"] for name, licence in LICENSES.items() if name.startswith("cc-by")}
    ours = {spdx_of_name(name.replace("-", " ", 1)) for name in listed}
    assert ours == listed
    assert {spdx_of_url(f"https://spdx.org/licenses/{name}.html") for name in listed} == listed
    assert [spdx_of_name(name) for name in ("CC BY 4.0 xyz", "CC BY 7.3", "CC BY 2.1")] == ["unknown"] * 3
