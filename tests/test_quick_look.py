"""A quick look turns no page away that the thorough extraction would make a document of."""

from crawl.text import CleanText, clean_page
from crawl.text_settings import TextSettings

URL = "https://arboretum.example/facts.html"
# A list whose items hold links is a menu to the quick extraction.
FACTS = (
    "The <a href='/oak'>oak</a> in the meadow is <a href='/age'>said</a> to have stood there for seven hundred years.",
    "Of the two <a href='/ash'>ashes</a> by the hedge, <a href='/fell'>one was felled</a> after a storm last winter.",
    "Nobody has <a href='/map'>mapped</a> the limes of that <a href='/village'>village</a>, though many have tried to.",
    "Please <a href='/ask'>ask</a> us about our yew, and see <a href='/hill'>the hill</a> it has grown on since 1680.",
    "I am fond of <a href='/jays'>jays</a>, which plant more <a href='/acorns'>acorns</a> than any forester has ever.",
)
LIST = "".join(f"<li>{fact}</li>" for fact in FACTS)
PAGE = f"<html lang=en><body><div><h1>Facts</h1><p>In no order:</p><ul>{LIST}</ul></div></body></html>".encode()


def test_a_list_of_sentences_with_links_is_looked_at_twice() -> None:
    cascade = clean_page(PAGE, URL, "utf-8", TextSettings("cascade"))
    assert isinstance(cascade, CleanText), cascade
    assert cascade == clean_page(PAGE, URL, "utf-8", TextSettings("best"))
    assert cascade.text.count("\n- ") == 5


def test_a_page_that_has_little_anywhere_is_looked_at_once() -> None:
    menu = "".join(f"<li><a href='/{n}'>All our trees of {n} feet</a></li>" for n in range(300))
    page = f"<html lang=en><body><ul>{menu}</ul><p>Not yet open.</p></body></html>".encode()
    found = clean_page(page, URL, "utf-8", TextSettings("cascade"))
    assert not isinstance(found, CleanText)
    assert (found.reason, found.detail) == ("too_few_words", "3 < 25 at a quick look")
