"""Captions: which of a page's words are taken for a picture, and which say nothing."""

import pytest

from crawl.captions import says_something
from crawl.html import read_page
from crawl.language import language_of
from crawl.records import LinkRow

PAGE = "https://trees.example/walk/"


def _picture(body: str) -> LinkRow:
    (link,) = (link for link in read_page(body.encode(), PAGE, "utf-8", 256).links if link.kind == "image")
    return link


@pytest.mark.parametrize(
    "text",
    [
        *("", "...", "…", "123", "image", "Image 3", "Photo", "photo of the", "LOGO", "Bild", "click to enlarge"),
        *("IMG_0117.JPG", "IMG_0117", "DSC00042", "oak tree.jpg", "P1010012", "screenshot 2020-01-02", "untitled-1"),
        *("IMG_2034 copy", "WhatsApp Image 2020-01-01 at 10.00.00", "oak-tree-1024x768"),
        *("https://trees.example/oak", "www.trees.example", "a1b2c3d4e5f60718", "featured-image", "photo1 (2)"),
    ],
)
def test_boilerplate_says_nothing(text: str):
    assert not says_something(text)


@pytest.mark.parametrize(
    "text",
    [
        *("Oak", "An old oak", "Quercus robur L.", "樫", "Дуб", "Photo of an oak", "Oak logo", "Image: maple in May"),
        *("Oak 3", "Tree no. 7", "e.g. oak.", "P. abies", "Vidin oak", "12 oaks"),
    ],
)
def test_words_for_what_is_shown_say_something(text: str):
    assert says_something(text)


# ruff: noqa: E501
LD = '<script type="application/ld+json">{"@type":"ImageObject","contentUrl":"a.jpg","caption":"From JSON"}</script>'
OG = '<meta property="og:image" content="a.jpg"><meta property="og:image:alt" content="Open graph oak">'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{OG}{LD}<figure><img src="a.jpg" alt="Alt oak" title="T"><figcaption>F</figcaption></figure>', ("Alt oak", "alt")),
        (f'{OG}{LD}<figure><img src="a.jpg" alt="IMG_1.jpg" title="Title oak"><figcaption>F</figcaption></figure>', ("Title oak", "title")),
        (f'{OG}{LD}<figure><img src="a.jpg" aria-label="A"><figcaption>In May</figcaption></figure>', ("In May", "figcaption")),
        (f'{OG}{LD}<img src="a.jpg" aria-label="Labelled oak">', ("Labelled oak", "aria_label")),
        (f'{OG}{LD}<p>The oak stands by the church. <img src="a.jpg"></p>', ("From JSON", "json_ld")),
        (f'{OG}<p>The oak stands by the church. <img src="a.jpg"></p>', ("Open graph oak", "og")),
        ('<meta property="og:image" content="a.jpg"><meta property="og:title" content="Oaks of Kew"><img src="a.jpg">', ("Oaks of Kew", "og")),
        (f'{OG}<img src="b.jpg">', ("", "none")),
        ('<p>The oak stands by the church. It is old. <img src="a.jpg"></p>', ("", "none")),
        ('<p>The oak stands by the church. <img src="a.jpg"></p>', ("The oak stands by the church.", "sentence")),
        ('<p><img src="a.jpg"> The oak stands here. It is old.</p>', ("The oak stands here.", "sentence")),
        ('<p>In May the oak <img src="a.jpg"> is in leaf. It is old.</p>', ("In May the oak is in leaf.", "sentence")),
        ('<div><div><img src="a.jpg"></div><p>This oak was planted in 1850.</p></div>', ("This oak was planted in 1850.", "sentence")),
        ('<p>Four words and one. <img src="a.jpg" alt=""></p>', ("Four words and one.", "sentence")),
        ('<div><h2>Trees on Trail 1</h2><ul><li>Oak</li></ul><img src="a.jpg"></div>', ("", "none")),
        (f'<p>{"word " * 80}<img src="a.jpg"></p>', ("", "none")),
    ],
)  # fmt: skip
def test_the_most_trusted_words_that_say_something_are_taken(body: str, expected: tuple[str, str]):
    link = _picture(body)
    assert (link.caption, link.caption_source) == expected


def test_two_pictures_in_one_block_share_no_sentence():
    body = b'<p>Two oaks stand by the church. <img src="a.jpg"><img src="b.jpg"></p>'
    links = read_page(body, PAGE, "utf-8", 256).links
    assert [(link.caption, link.caption_source) for link in links] == [("", "none")] * 2


@pytest.mark.parametrize(
    ("body", "language"),
    [
        ('<html lang="de-AT"><img src="a.jpg" alt="Eiche">', "de-at"),
        ('<html lang="de"><img src="a.jpg" lang="EN" alt="Oak">', "en"),
        ('<img src="a.jpg" alt="Oak">', "unknown"),
    ],
)
def test_the_language_is_that_of_the_element_or_the_page(body: str, language: str):
    assert _picture(body).language == language


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        ("Eiche", "de-AT", "de"),
        ("The old oak stands beside the church and was planted by hand.", "unknown", "en"),
        ("Die alte Eiche steht neben der Kirche und wurde von Hand gepflanzt.", "unknown", "de"),
        ("Le vieux chêne se dresse à côté de l'église du village.", "x_broken!", "fr"),
        ("Quercus robur", "unknown", "unknown"),
        ("123", "unknown", "unknown"),
        ("", "en", "unknown"),
    ],
)
def test_a_language_is_declared_or_told_by_the_text(text: str, declared: str, expected: str):
    assert language_of(text, declared) == expected
