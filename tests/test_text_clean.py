from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawl.text import CleanText, clean_page, clean_plain_text
from crawl.text_rules import GopherQuality, RuleSettings
from crawl.text_settings import Extractor, TextSettings
from crawl.verdict import Verdict

URL = "https://arboretum.example/oak.html"
LOOSE = TextSettings("best", RuleSettings(min_sentences=0, gopher_quality=None, gopher_repetition=None))
PROSE = (
    "The old oak stands at the edge of the meadow, where the road bends down towards the mill. "
    "Its crown is wider than it is tall, and in summer the cattle lie in its shade until evening."
)


def page(body: str, head: str = "<title>The old oak</title>", lang: str = "en") -> bytes:
    return f"<!DOCTYPE html><html lang='{lang}'><head>{head}</head><body>{body}</body></html>".encode()


def cleaned(payload: bytes, charset: str | None = "utf-8", text_settings: TextSettings = LOOSE) -> CleanText:
    result = clean_page(payload, URL, charset, text_settings)
    assert isinstance(result, CleanText), result
    return result


def test_the_main_text_comes_out_and_the_boilerplate_does_not() -> None:
    body = f"""
        <nav><ul><li><a href="/">Home</a></li><li><a href="/trees">All trees</a></li></ul></nav>
        <div class="content"><h1>The old oak</h1><p>{PROSE}</p><h2>In winter</h2><p>{PROSE}
        And <em>then</em> it
           snows.</p></div>
        <aside class="sidebar"><a href="/x">Our newsletter</a></aside>
        <footer><p>Copyright, imprint, cookies</p></footer><script>alert("no")</script>"""
    result = cleaned(page(body))
    assert result.text == f"The old oak\n\n{PROSE}\n\nIn winter\n\n{PROSE} And then it snows."
    assert (result.title, result.language) == ("The old oak", "en")
    assert result.num_words == len(result.text.split()) == 83


def test_menus_stay_out_of_pages_that_have_little_else() -> None:
    menu = "<nav><a href='/a'>Trail 1</a><button>Open</button></nav><select><option>Trail 2</option></select>"
    assert cleaned(page(f"{menu}<div><h1>Trail 3</h1><p>Not yet open.</p></div>")).text.split() == [
        *("Trail", "3", "Not", "yet", "open."),
    ]


def test_headings_are_kept_on_pages_without_article_or_main() -> None:
    sections = [f"<div class='section'><h2><a id='s{n}'></a>{n}. Part</h2><p>{n} {PROSE}</p></div>" for n in range(3)]
    expected = "\n\n".join(f"{n}. Part\n\n{n} {PROSE}" for n in range(3))
    assert cleaned(page("".join(sections))).text == expected


def test_text_in_divs_is_found_beside_text_in_paragraphs() -> None:
    divs = "".join(f"<div class='para'>{n} {PROSE} {PROSE} {PROSE}</div>" for n in range(9))
    text = cleaned(page(f"<div><h1>Oak</h1>{divs}<p>9 {PROSE} {PROSE} {PROSE} {PROSE} {PROSE}</p></div>")).text
    assert text.count(PROSE) == 32
    assert [paragraph[0] for paragraph in text.split("\n\n")] == list("O0123456789")


def test_little_text_comes_without_the_menu_and_in_paragraphs() -> None:
    menu = "<div><a href='#'>×</a> <a href='/'>Home</a> <a href='/trees'>All our trees</a></div><span>☰</span>"
    text = "The oak is old. Its crown is wide."
    credit = "<small>Text from <a href='/'>a book</a></small>"
    body = f"{menu}<header><h1>Oak</h1></header><main>{text}<br><br>{credit}</main><footer>Imprint</footer>"
    assert cleaned(page(body)).text == f"Oak\n\n{text}\nText from a book"


def test_text_marked_as_such_in_many_places_stays_in_order() -> None:
    chunks = [
        f"<div class='chunk'><h2>Tree {n}</h2><ul><li>Oak</li></ul><div class='text'><p>{n} {PROSE}</p></div></div>"
        for n in range(3)
    ]
    expected = "\n\n".join(f"Tree {n}\n\n- Oak\n\n{n} {PROSE}" for n in range(3))
    assert cleaned(page("".join(chunks))).text == expected


def test_preformatted_text_keeps_line_breaks_and_indentation() -> None:
    code = "for tree in trees:\n    if tree.old:\n\n\tprint(tree)"
    for body in (f"<pre>{code}\n</pre>", f"<pre><code>{code}</code></pre>", f"<pre>\n{code}</pre>"):
        text = cleaned(page(f"<article><p>{PROSE}</p>{body}<p>{PROSE} Again.</p></article>")).text
        shown = code.replace("\t", " " * 8)
        assert text == f"{PROSE}\n\n{shown}\n\n{PROSE} Again."


def test_tables_keep_one_row_a_line() -> None:
    table = """<table><tr><th>Tree</th><th>Height</th></tr>
        <tr><td><p>Norway\n maple</p></td><td>25 m</td></tr><tr><td>Yew</td><td>15 m</td></tr></table>"""
    text = cleaned(page(f"<article><p>{PROSE}</p>{table}<p>{PROSE} Again.</p></article>")).text
    assert text == f"{PROSE}\n\nTree | Height\nNorway maple | 25 m\nYew | 15 m\n\n{PROSE} Again."


def test_list_items_stand_on_lines_of_their_own() -> None:
    items = "<ul><li>oak</li><li>\n<p>ash tree</p></li><li>fir<ul><li>Nordmann fir</li></ul></li></ul>"
    text = cleaned(page(f"<article><p>{PROSE}</p>{items}<p>{PROSE} Again.</p></article>")).text
    assert text == f"{PROSE}\n\n- oak\n- ash tree\n- fir\n- Nordmann fir\n\n{PROSE} Again."


def test_paragraphs_of_an_item_and_what_an_empty_block_parts_stand_on_lines_of_their_own() -> None:
    oak = "<li><div>Oaks grow.</div><a id='x'></a><div>They are old. <b>Very</b> old.</div> And wide.</li>"
    ash = "<li><div class='para'><div class='title'>Ash.</div> It is <i>tall</i>.</div></li>"
    fir = "<li><img src='fir.png'><p>Fir</p></li>"
    parted = f"<p>{PROSE}<div class='break'></div>It goes on.</p>"
    text = cleaned(page(f"<article>{parted}<ul>{oak}{ash}{fir}</ul><p>{PROSE} Again.</p></article>")).text
    items = "- Oaks grow.\nThey are old. Very old.\nAnd wide.\n- Ash.\nIt is tall.\n- Fir"
    assert text == f"{PROSE}\n\nIt goes on.\n\n{items}\n\n{PROSE} Again."


def test_what_an_empty_block_parts_within_a_block_stands_on_lines_of_its_own() -> None:
    parted = f"<div>{PROSE}<div class='break'></div>It goes on.</div>"
    assert cleaned(page(f"<article>{parted}</article>")).text == f"{PROSE}\nIt goes on."


def test_words_stay_apart_at_the_seams_of_markup() -> None:
    owner = "<li><p>its owner (called <code>u</code> as in <i>user</i>);</p></li>"
    items = f"<ul>{owner}<li>H<sub>2</sub>O <b>is</b> wet</li></ul>"
    text = cleaned(
        page(f"<article><p>{PROSE} An <b>oak</b> <i>is</i> <a href='x'>green</a>.</p>{items}</article>")
    ).text
    assert text == f"{PROSE} An oak is green.\n\n- its owner (called u as in user);\n- H2O is wet"


def test_text_is_in_nfc_and_free_of_invisible_characters() -> None:
    last = "<p>Cafe\u0301 in the ar\u00adbo\u00adre\u00adtum,\u00a0open\u200b daily\ue000.</p>"
    assert (
        cleaned(page(f"<article><p>{PROSE}</p>{last}</article>")).text
        == f"{PROSE}\n\nCafé in the arboretum, open daily."
    )


def test_the_same_page_gives_the_same_text_every_time() -> None:
    payload = page(f"<article><p>{PROSE}</p><p>{PROSE}</p><p>{PROSE}</p></article>")
    assert len({cleaned(payload).text for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<title> The\n old&nbsp;oak </title>", "The old oak"),
        ("<title></title>", "The first heading"),
        ("", "The first heading"),
    ],
)
def test_the_title_is_found(head: str, expected: str) -> None:
    body = f"<svg><title>Not this</title></svg><h1>The <i>first</i>\nheading</h1><p>{PROSE}</p>"
    assert cleaned(page(body, head)).title == expected


@pytest.mark.parametrize(
    ("lang", "expected"),
    [("en", "en"), ("fr-FR", "fr-fr"), ("en_GB", "en-gb"), (" de ", "de"), ("", "unknown"), ("English!", "unknown")],
)
def test_the_root_declares_the_language_of_a_short_text(lang: str, expected: str) -> None:
    assert cleaned(page("<p>Quercus robur, Fagus sylvatica</p>", lang=lang)).language == expected


def test_an_element_declares_the_language_where_it_holds_most_of_the_text() -> None:
    short = "<p>Quercus robur</p>"
    assert cleaned(f"<html><body><div lang='en-US'>{short}</div></body></html>".encode()).language == "en-us"
    assert cleaned(f"<html><body><i lang='la'>Acer</i>{short}</body></html>".encode()).language == "unknown"


CHENE = (
    "Le vieux chêne se dresse au bord de la prairie, où la route descend vers le moulin. Sa couronne est plus large "
    "que haute, et en été les vaches restent à son ombre jusqu'au soir."
)


@pytest.mark.parametrize("extractor", ["best", "fast", "cascade"])
def test_a_text_tells_its_language_whatever_is_declared(extractor: Extractor) -> None:
    loose = replace(LOOSE, extractor=extractor)
    assert cleaned(page(f"<p>{CHENE}</p>", lang="en"), text_settings=loose).language == "fr"
    assert cleaned(page(f"<p>{PROSE}</p>", lang="unknown"), text_settings=loose).language == "en"


@pytest.mark.parametrize("extractor", ["best", "fast", "cascade"])
def test_other_languages_than_those_wanted_are_rejected(extractor: Extractor) -> None:
    wanted = replace(LOOSE, extractor=extractor, languages=("en", "de"))
    assert clean_page(page(f"<p>{CHENE}</p>", lang="en"), URL, None, wanted) == Verdict(
        "rejected", "other_language", "fr"
    )
    assert cleaned(page(f"<p>{PROSE}</p>", lang="fr"), text_settings=wanted).language == "en"
    assert clean_plain_text(CHENE.encode(), None, wanted) == Verdict("rejected", "other_language", "fr")
    assert cleaned(page("<p>Quercus robur</p>", lang="en-GB"), text_settings=wanted).language == "en-gb"
    assert clean_page(page("<p>Quercus robur</p>", lang=""), URL, None, wanted) == Verdict(
        "rejected", "other_language", "unknown"
    )


def test_a_page_in_another_language_is_not_extracted_thoroughly() -> None:
    wanted = replace(LOOSE, extractor="cascade", languages=("en",), max_nodes=1)
    assert clean_page(page(f"<p>{CHENE}</p>"), URL, None, wanted) == Verdict("rejected", "other_language", "fr")
    assert clean_page(page(f"<p>{PROSE}</p>"), URL, None, wanted) == Verdict("rejected", "too_many_nodes", "6 > 1")


@pytest.mark.parametrize("extractor", ["best", "cascade"])
def test_stop_words_are_those_of_the_language_the_text_is_in(extractor: Extractor) -> None:
    rules = replace(LOOSE.rules, gopher_quality=GopherQuality(min_words=10))
    ruled = replace(LOOSE, extractor=extractor, rules=rules)
    assert cleaned(page(f"<p>{CHENE}</p>", lang="en"), text_settings=ruled).language == "fr"
    names = "<p>" + "Oak tree nursery, cheap garden plants, buy young trees online today. " * 4 + "</p>"
    assert clean_page(page(names, lang="fr"), URL, None, ruled) == Verdict("rejected", "too_few_stop_words", "0 < 2")


def test_the_charset_of_the_header_is_heeded() -> None:
    assert cleaned(f"<p>{PROSE} Un chêne.</p>".encode("latin-1"), "iso-8859-1").text == f"{PROSE} Un chêne."
    assert cleaned(f"<p>{PROSE} Дуб.</p>".encode("koi8-r"), "koi8-r").text == f"{PROSE} Дуб."
    assert cleaned(f"<p>{PROSE} Дуб.</p>".encode("utf-16"), None).text == f"{PROSE} Дуб."


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", Verdict("rejected", "no_text", "the page is empty")),
        (b" \n ", Verdict("rejected", "no_text", "the page is empty")),
        (b"<html></html>", Verdict("rejected", "too_few_words", "0 < 50")),
        (b"%PDF-1.7\n\x00", Verdict("rejected", "not_text", "byte 0x00 at 9")),
        (b"x" * 2_001, Verdict("rejected", "too_many_bytes", "2001 > 2000")),
        (b"<b>" * 60, Verdict("rejected", "too_many_nodes", "63 > 50")),
        (page("<p>Not found</p>"), Verdict("rejected", "too_few_words", "2 < 50")),
    ],
)
def test_what_is_no_page_of_text_is_rejected(payload: bytes, expected: Verdict) -> None:
    assert clean_page(payload, URL, None, TextSettings("best", max_bytes=2_000, max_nodes=50)) == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "utf-16", "gbk", "x", ""]))
def test_random_bytes_give_a_text_or_a_verdict(payload: bytes, charset: str | None) -> None:
    assert isinstance(clean_page(payload, URL, charset, LOOSE), CleanText | Verdict)


TAGS = st.sampled_from(
    [
        "html",
        "head",
        "body",
        "main",
        "article",
        "p",
        "div",
        "pre",
        "table",
        "tr",
        "td",
        "th",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "h1",
        "h2",
        "br",
        "a",
        "img",
        "svg",
        "title",
        "meta",
        "frameset",
        "select",
        "option",
        "textarea",
        "noscript",
        "template",
        "blockquote",
        "code",
        "span",
        "q",
        "details",
        "summary",
        "form",
        "iframe",
        "math",
        "base",
    ]
)
PIECES = st.one_of(
    st.builds("<{}>".format, TAGS),
    st.builds("</{}>".format, TAGS),
    st.sampled_from(
        [PROSE, "&nbsp;", "&#0;", "&#xD800;", "<!--", "-->", "<![CDATA[", "<?xml ?>", "\ue000", "\0", "<a href=x>"]
    ),
    st.text(max_size=20),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=60))
def test_tag_soup_gives_a_text_or_a_verdict(pieces: list[str]) -> None:
    payload = "".join(pieces).encode("utf-8", "replace")
    result = clean_page(payload, URL, "utf-8", LOOSE)
    assert isinstance(result, CleanText | Verdict)
    if isinstance(result, CleanText):
        assert result.text == result.text.strip("\n")
        assert "\n\n\n" not in result.text
        assert not any(mark in result.text for mark in "\ue000\ue001\ue002\ue003")


@pytest.mark.parametrize("tag", ["div", "b", "table", "ul", "blockquote", "span", "pre", "a"])
def test_deep_nesting_is_survived(tag: str) -> None:
    result = clean_page(f"<{tag}>".encode() * 5_000 + PROSE.encode(), URL, None, LOOSE)
    assert isinstance(result, CleanText | Verdict)


def test_cut_off_pages_give_a_text_or_a_verdict() -> None:
    payload = page(f"<article><h1>Oak</h1><p>{PROSE}</p><pre>a\n b</pre><ul><li>x<li>y</ul></article>")
    for end in range(0, len(payload), 7):
        assert isinstance(clean_page(payload[:end], URL, None, LOOSE), CleanText | Verdict)
