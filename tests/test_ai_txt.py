"""ai.txt as Spawning's generator writes it, and as others do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.ai_txt import parse_ai_txt

# What the generator writes for a site that keeps its text, and for one that keeps everything.
TEXT_ONLY = "# Spawning AI\n# Prevent datasets from using the following file types\n\nUser-Agent: *\n" + "".join(
    f"Disallow: *.{ending}\n" for ending in ("txt", "pdf", "doc", "docx", "odt", "rtf", "tex", "html")
)
CODE_ONLY = "User-Agent: *\n" + "".join(f"Disallow: *.{ending}\n" for ending in ("py", "js", "c", "h", "css", "php"))
PICTURES_ONLY = "User-Agent: *\n" + "".join(
    f"Disallow: *.{ending}\n" for ending in ("bmp", "gif", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp")
)
EVERYTHING = f"{TEXT_ONLY}Disallow: /\nDisallow: *\n"
PICTURES_ALLOWED = "User-Agent: *\nAllow: *.jpg\nAllow: *.png\nDisallow: /private/\nDisallow: /\nDisallow: *\n"


@pytest.mark.parametrize(
    ("ai_txt", "path", "kind", "disallowed"),
    [
        (TEXT_ONLY, "/", "page", True),
        (TEXT_ONLY, "/oak.html", "page", True),
        (TEXT_ONLY, "/oak.html?page=2", "page", True),
        (TEXT_ONLY, "/oak.php", "page", True),
        (TEXT_ONLY, "/oak.jpg", "image", False),
        (TEXT_ONLY, "/image?id=7", "image", False),
        (CODE_ONLY, "/", "page", False),
        (CODE_ONLY, "/oak.html", "page", False),
        (CODE_ONLY, "/oak.php", "page", True),
        (CODE_ONLY, "/oak.jpg", "image", False),
        (PICTURES_ONLY, "/oak.html", "page", False),
        (PICTURES_ONLY, "/oak.JPG", "image", True),
        (PICTURES_ONLY, "/oak.jpg?width=512", "image", True),
        (PICTURES_ONLY, "/image?id=7", "image", True),
        (PICTURES_ONLY, "/jpg/oak.avif", "image", False),
        (EVERYTHING, "/", "page", True),
        (EVERYTHING, "/oak.avif", "image", True),
        (PICTURES_ALLOWED, "/oak.jpg", "image", False),
        (PICTURES_ALLOWED, "/oak.webp", "image", True),
        (PICTURES_ALLOWED, "/private/oak.jpg", "image", True),
        (PICTURES_ALLOWED, "/", "page", True),
        ("User-Agent: *\nDisallow: *.jpg\nAllow: *.jpg\n", "/oak.jpg", "image", True),
        ("User-Agent: *\nAllow: *.jpg\nDisallow: *.jpg\n", "/oak.jpg", "image", True),
        ("User-Agent: *\nDisallow: /*.jpg$\n", "/oak.jpg", "image", True),
        ("User-Agent: *\nDisallow: /art/\n", "/art/oak.jpg", "image", True),
        ("User-Agent: *\nDisallow: /art/\n", "/oak.jpg", "image", False),
        ("User-Agent: *\nDisallow: /\nUser-Agent: Seedbed\nAllow: /\n", "/oak.jpg", "image", False),
        ("User-Agent: GPTBot\nDisallow: /\n", "/oak.jpg", "image", False),
        ("User-Agent: *\nDisallow:\n", "/oak.jpg", "image", False),
        ("", "/", "page", False),
        ("<!doctype html><title>Not found</title>", "/", "page", False),
        ("This site welcomes machines: be kind.", "/", "page", False),
    ],
)
def test_file_types_and_paths(ai_txt: str, path: str, kind, disallowed: bool):
    assert parse_ai_txt(ai_txt.encode(), "seedbed").disallows(f"http://trees.example{path}", kind) is disallowed


@given(st.binary(max_size=200), st.text(alphabet="ab.jpg/%4?", max_size=20), st.sampled_from(["page", "image"]))
def test_any_bytes_give_a_decision(body: bytes, path: str, kind):
    ai_txt = parse_ai_txt(b"User-Agent: *\nDisallow: *" + body, "seedbed")
    assert isinstance(ai_txt.disallows(f"http://trees.example/{path}", kind), bool)
