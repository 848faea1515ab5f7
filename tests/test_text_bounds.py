"""The work on a page is bounded: by its bytes, its elements and their nesting, and at last by a clock."""

import time

import pytest

from crawl.nesting import is_nested_too_deeply
from crawl.text import CleanText, clean_page
from crawl.text_rules import RuleSettings
from crawl.text_settings import Extractor, TextSettings
from crawl.verdict import Verdict

URL = "https://arboretum.example/oak.html"
NO_RULES = RuleSettings(min_sentences=0, gopher_quality=None, gopher_repetition=None)
SENTENCE = "An old oak stands here and there in the meadow, said the man."


def spans(count: int) -> bytes:
    """A page that takes trafilatura a time which grows with the power 2.6 of its length."""
    return f"<p>{''.join(f'<span>{SENTENCE} {n}</span> ' for n in range(count))}".encode()


def test_a_page_that_takes_too_long_fails_by_the_clock() -> None:
    began = time.monotonic()
    found = clean_page(spans(20_000), URL, "utf-8", TextSettings("best", NO_RULES, timeout_s=2))
    assert found == Verdict("failed", "took_too_long", "more than 2 s of processor time")
    assert time.monotonic() - began < 30


def test_a_long_page_gives_the_same_text_under_the_clock_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = f"<h1>Oaks</h1>{''.join(f'<p>{SENTENCE} {n}</p>' for n in range(9_000))}".encode()
    settings = TextSettings("best", NO_RULES)
    clocked = clean_page(payload, URL, "utf-8", settings)
    monkeypatch.setattr("crawl.text.MIN_NODES_FOR_CLOCK", 1_000_000)
    assert isinstance(clocked, CleanText)
    assert clocked == clean_page(payload, URL, "utf-8", settings)
    assert clocked.text.count(SENTENCE) == 9_000


@pytest.mark.parametrize("extractor", ["cascade", "fast", "best"])
@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 40_000,
        "<div>" * 40_000 + "</div>" * 40_000,
        "<x-oak/>" * 40_000,
        "".join(f"<b id={n}>" for n in range(5_000)) + "<p>x" * 5_000,
    ],
    ids=["never closed", "closed", "not closed by a slash", "formatting opened again in each paragraph"],
)
def test_a_page_nested_too_deeply_is_rejected_unparsed(markup: str, extractor: Extractor) -> None:
    began = time.process_time()
    found = clean_page(markup.encode(), URL, "utf-8", TextSettings(extractor, NO_RULES))
    assert found == Verdict("rejected", "nested_too_deeply", "elements inside one another")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "markup",
    [
        "<div><p>An oak<br><img><li>and an ash</div>" * 20_000,
        "<a name=x>An <b>oak" * 20_000,
        "<table><tr><td><font color=green>An oak</table>" * 300,
    ],
    ids=["closed", "formatting alike", "formatting in tables"],
)
def test_a_long_page_is_not_too_deep(markup: str) -> None:
    assert not is_nested_too_deeply(markup)


@pytest.mark.parametrize("extractor", ["fast", "best"])
@pytest.mark.parametrize("blanks", [" ", "\n", " \n", "\u00a0", "\t"], ids=["blank", "line", "both", "no-break", "tab"])
def test_the_work_on_blanks_grows_with_their_number_alone(blanks: str, extractor: Extractor) -> None:
    payload = f"<pre>{SENTENCE}{blanks * (400_000 // len(blanks))}{SENTENCE}</pre>".encode()
    began = time.process_time()
    assert isinstance(clean_page(payload, URL, "utf-8", TextSettings(extractor, NO_RULES)), CleanText)
    assert time.process_time() - began < 5
