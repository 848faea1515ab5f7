"""Clean pages: untrusted HTML in, the main text or a verdict out.

Two passes: a quick look at every page tells what is not worth a closer one; only what passes the rules there meets the
thorough extraction, and its text is judged again.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lxml import html

from crawl.clocked import TookTooLongError, call_within
from crawl.encoding import decode_page, is_utf_16
from crawl.language import document_language, judge_language
from crawl.main_text import extract_main_text, tidy
from crawl.nesting import is_nested_too_deeply
from crawl.page_tree import parse_page
from crawl.private_data import redact
from crawl.quick_text import count_words_in_long_lines, read_quickly
from crawl.records import UNKNOWN
from crawl.text_rules import judge_text
from crawl.text_rules.gopher_quality import judge_stop_words
from crawl.text_rules.measured import measure
from crawl.text_settings import TextSettings
from crawl.verdict import Verdict
from crawl.visible_text import visible_text

# Bytes that no text has. Source: MIME Sniffing standard, sections 3 (binary data byte) and 5 (resource header).
BINARY_BYTES = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
NUM_HEADER_BYTES = 1445
# Elements from which on a page is extracted under a clock. With so many, trafilatura takes 5 s at the worst that was
# found (all in one paragraph); from there on it grows with the power 2.6.
MIN_NODES_FOR_CLOCK = 8_000
AT_A_QUICK_LOOK = "at a quick look"
# Of what a quick look may have missed the rest.
TOO_LITTLE = ("too_few_words", "too_few_sentences")
MIN_WORDS_FOR_A_CLOSER_LOOK = 50
# Source: BCP 47, section 2.1.
LANGUAGE_TAG = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class CleanText:
    """The main text of a page.

    Attributes:
        title: the page's title, else its first heading, else "".
        text: the main text in NFC, paragraphs parted by a blank line.
        language: see `crawl.language.document_language`; as declared it is a lower-case BCP 47 tag.
        num_words: words of the text, parted by white space.
        private_data: how often each kind of private data was replaced in title and text.
    """

    title: str
    text: str
    language: str
    num_words: int
    private_data: Mapping[str, int] = field(default_factory=dict)


def clean_page(payload: bytes, url: str, charset: str | None, settings: TextSettings) -> CleanText | Verdict:
    """Return the main text of an HTML page, with its title and language.

    `charset` is the one in the Content-Type header. Rejects `too_many_bytes`, `not_text`, `nested_too_deeply`,
    `no_text`, `too_many_nodes`, `other_language` and whatever `crawl.text_rules` finds; fails as `took_too_long`.
    """
    verdict = _judge_bytes(payload, charset, settings)
    if verdict:
        return verdict
    markup = decode_page(payload, charset)
    if is_nested_too_deeply(markup):
        return Verdict("rejected", "nested_too_deeply", "elements inside one another")
    if settings.extractor != "best":
        page = read_quickly(markup)
        language = _language_tag(page.language)
        if settings.extractor == "fast":
            return _judged(page.title, page.text, language, settings)
        verdict = _judge_quickly(page.text, language, settings)
        if verdict and not _may_have_more(markup, verdict, settings):
            return verdict
    return _clean_thoroughly(markup, url, settings)


def clean_plain_text(payload: bytes, charset: str | None, settings: TextSettings) -> CleanText | Verdict:
    """Return a document that is text already, as it stands: its title is its first line, a heading's marks left out.

    Rejects as `clean_page`.
    """
    if len(payload) > settings.max_bytes:
        return Verdict("rejected", "too_many_bytes", f"{len(payload)} > {settings.max_bytes}")
    lines = [line.rstrip() for line in visible_text(decode_page(payload, charset)).splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    if not text.strip():
        return Verdict("rejected", "no_text", "the document is empty")
    title = text.lstrip().partition("\n")[0].lstrip("# ").strip()
    return _judged(title, text, UNKNOWN, settings)


def judge_rest(text: str, language: str, settings: TextSettings) -> str | Verdict:
    """Return what the rules leave of a clean text that has lost lines since, in a language that is known by now."""
    kept, quality = judge_text(text, UNKNOWN, settings.rules), settings.rules.gopher_quality
    if isinstance(kept, Verdict) or not quality:
        return kept
    return judge_stop_words(measure(kept), language, quality) or kept


def _judge_bytes(payload: bytes, charset: str | None, settings: TextSettings) -> Verdict | None:
    if len(payload) > settings.max_bytes:
        return Verdict("rejected", "too_many_bytes", f"{len(payload)} > {settings.max_bytes}")
    if is_utf_16(payload, charset):
        return None
    binary = BINARY_BYTES.search(payload[:NUM_HEADER_BYTES])
    return Verdict("rejected", "not_text", f"byte 0x{binary[0].hex()} at {binary.start()}") if binary else None


def _judge_quickly(text: str, declared: str, settings: TextSettings) -> Verdict | None:
    """Judge a quick text; its language is told only where something hangs on it."""
    for rules in settings.rules.lenient:
        found = judge_text(text, UNKNOWN, rules)
        if isinstance(found, Verdict):
            return replace(found, detail=f"{found.detail} {AT_A_QUICK_LOOK}")
    quality = settings.rules.gopher_quality
    measured = measure(text)
    lacks_words = quality and any(judge_stop_words(measured, each, quality) for each in quality.stop_words)
    if not lacks_words and not settings.languages:
        return None
    language = _judged_language(text, declared, settings)
    return language if isinstance(language, Verdict) else None


def _may_have_more(markup: str, verdict: Verdict, settings: TextSettings) -> bool:
    """Whether too little of the text was found for what stands on the page, so that a closer look may find more.

    Of 437 pages of the WARC samples and the sites 82 are rejected at a quick look; of these this finds the one that the
    thorough extraction makes 176 words of, and two copies of one that it rejects.
    """
    quality = settings.rules.gopher_quality
    least = quality.min_words if quality else MIN_WORDS_FOR_A_CLOSER_LOOK
    return verdict.reason in TOO_LITTLE and count_words_in_long_lines(markup) >= least


def _judged_language(text: str, declared: str, settings: TextSettings) -> str | Verdict:
    """Return the language of a text, or why a text in it is not wanted."""
    language, quality = document_language(text, declared), settings.rules.gopher_quality
    verdict = judge_language(language, settings.languages)
    if verdict is None and quality:
        verdict = judge_stop_words(measure(text), language, quality)
    return verdict or language


def _clean_thoroughly(markup: str, url: str, settings: TextSettings) -> CleanText | Verdict:
    tree = parse_page(markup)
    if tree is None:
        return Verdict("rejected", "no_text", "the page is empty")
    num_nodes = sum(1 for _ in tree.iter())
    if num_nodes > settings.max_nodes:
        return Verdict("rejected", "too_many_nodes", f"{num_nodes} > {settings.max_nodes}")
    if num_nodes < MIN_NODES_FOR_CLOCK:
        return _extracted(tree, url, settings)
    try:
        return call_within(settings.timeout_s, _extract_from_markup, markup, url, settings)
    except TookTooLongError as error:
        return Verdict("failed", "took_too_long", str(error))


def _extract_from_markup(markup: str, url: str, settings: TextSettings) -> CleanText | Verdict:
    tree = parse_page(markup)
    assert tree is not None, "it has been parsed before"
    return _extracted(tree, url, settings)


def _extracted(tree: html.HtmlElement, url: str, settings: TextSettings) -> CleanText | Verdict:
    title, language = _find_title(tree), _find_language(tree)
    return _judged(title, extract_main_text(tree, url), language, settings)


def _judged(title: str, text: str, declared: str, settings: TextSettings) -> CleanText | Verdict:
    kept = judge_text(text, UNKNOWN, settings.rules)
    if isinstance(kept, Verdict):
        return kept
    language = _judged_language(text, declared, settings)
    if isinstance(language, Verdict):
        return language
    redacted_title, redacted = redact(title, settings.private_data), redact(kept, settings.private_data)
    private_data = Counter(redacted_title.counts) + Counter(redacted.counts)
    return CleanText(redacted_title.text, redacted.text, language, len(redacted.text.split()), private_data)


def _find_title(tree: html.HtmlElement) -> str:
    for path in (".//head/title", ".//h1"):
        element = tree.find(path)
        title = tidy("".join(element.itertext())) if element is not None else ""
        if title:
            return " ".join(title.split())
    return ""


def _find_language(tree: html.HtmlElement) -> str:
    """The root declares it, or else the first element that does so, where it holds at least half of the text."""
    for element in tree.iter("*"):
        declared = element.get("lang") or element.get("xml:lang")
        if declared:
            holds_most = 2 * len(element.text_content()) >= len(tree.text_content())
            return _language_tag(declared) if holds_most else UNKNOWN
    return UNKNOWN


def _language_tag(declared: str) -> str:
    tag = declared.strip().lower().replace("_", "-")
    return tag if LANGUAGE_TAG.fullmatch(tag) else UNKNOWN
