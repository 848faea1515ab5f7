"""The language of documents, told by their text."""

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawl.language import document_language, judge_language
from crawl.verdict import Verdict

TEXTS = Path(__file__).parents[2] / "shared" / "data" / "text" / "text.tar.gz"
FILES = {
    "cs": "Czech-UTF8",
    "da": "Danish_Dansk-Latin1",
    "de": "German_Deutsch-Latin1",
    "el": "Greek_Ellinika-UTF8",
    "en": "English-Latin1",
    "es": "Spanish_Espanol-Latin1",
    "fi": "Finnish_Suomi-Latin1",
    "fr": "French_Francais-Latin1",
    "hu": "Hungarian_Magyar-UTF8",
    "it": "Italian-Latin1",
    "ja": "Japanese_Nihongo-UTF8",
    "ko": "Korean_Hankuko-UTF8",
    "nl": "Dutch_Nederlands-Latin1",
    "pt": "Portuguese_Portugues-Latin1",
    "ru": "Russian_Russky-UTF8",
    "sv": "Swedish_Svenska-Latin1",
    "tr": "Turkish_Turkce-UTF8",
    "uk": "Ukrainian-UTF8",
    "vi": "Vietnamese-UTF8",
    "zh": "Chinese_Mandarin-UTF8",
}
PROSE = (
    "The old oak stands at the edge of the meadow, where the road bends down towards the mill. "
    "Its crown is wider than it is tall, and in summer the cattle lie in its shade until evening. "
)
LISTING = "-rw-r--r-- 1 root root 1181 2021-07-27 09:32 ./etc/httpd/conf.d/a36f15d92c3994c0d55b07f83253b3d8.conf\n"


def _declarations() -> Iterator[tuple[str, str]]:
    """The Universal Declaration of Human Rights, language by language."""
    if not TEXTS.exists():
        pytest.skip(f"{TEXTS} is not there")
    with tarfile.open(TEXTS) as tar:
        for language, name in FILES.items():
            file = tar.extractfile(f"nltk/udhr/{name}")
            assert file is not None
            encoding = "utf-8" if name.endswith("UTF8") else "latin-1"
            yield language, file.read().decode(encoding, "replace")  # some end within a character


def test_documents_in_twenty_languages_are_told_apart():
    found = [(language, document_language(text, "unknown")) for language, text in _declarations()]
    assert all(language == told for language, told in found), found


def test_paragraphs_in_twenty_languages_are_told_apart_but_for_one_in_a_hundred():
    pieces = [
        (language, piece) for language, text in _declarations() for piece in re.split(r"\s*\n\s*", text) if piece[99:]
    ]
    right = sum(document_language(piece, "unknown") == language for language, piece in pieces)
    assert len(pieces) > 300
    assert right >= 0.99 * len(pieces)


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        (PROSE, "fr", "en"),
        (PROSE, "unknown", "en"),
        ("Quercus robur, Acer campestre", "de", "de"),
        ("Quercus robur, Acer campestre", "unknown", "unknown"),
        (PROSE * 5 + LISTING * 15 + PROSE * 5, "fr", "en"),
        (LISTING * 30, "fr", "fr"),
        ("1181 2021-07-27 09:32 " * 30, "unknown", "unknown"),
    ],
)
def test_a_short_or_doubtful_text_is_in_the_language_that_is_declared(text: str, declared: str, expected: str):
    assert document_language(text, declared) == expected


@pytest.mark.parametrize(
    ("language", "wanted", "rejected"),
    [("en", (), False), ("en-gb", ("en", "fr"), False), ("eng", ("en",), True), ("unknown", ("en",), True)],
)
def test_only_wanted_languages_pass(language: str, wanted: tuple[str, ...], rejected: bool):
    assert judge_language(language, wanted) == (Verdict("rejected", "other_language", language) if rejected else None)
