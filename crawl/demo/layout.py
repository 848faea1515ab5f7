"""The HTML of the arboretum: one frame round every page, and the ways a page shows a picture."""

from html import escape
from typing import Final

from crawl.demo.gallery import Picture
from crawl.demo.prose import Prose

PAGES_HOST: Final = "arboretum.example"
PICTURES_HOST: Final = "pictures.example"

_LICENCES: Final = {
    False: ("https://creativecommons.org/licenses/by/4.0/", "CC BY 4.0"),
    True: ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0"),
}
_DOT: Final = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

STYLE: Final = """body { margin: 0; font: 17px/1.6 Georgia, serif; color: #2c2a26; background: #f6f4ec; }
header, footer, aside { background: #46683e; color: #f6f4ec; padding: .8rem 2rem; font-size: 15px; }
header a, footer a, aside a { color: inherit; margin-right: 1rem; }
article, .gallery, ul { max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 160px; font-size: 13px; }
article figure { float: right; margin: 0 0 1rem 1.5rem; }
figure img { width: 160px; border-radius: 4px; }
"""


def frame(title: str, content: str, robots: str = "") -> bytes:
    """A whole page: `content` between the header and footer that every page has.

    Args:
        title: plain text.
        content: HTML.
        robots: directives for the robots meta element, "" for none.
    """
    meta = f'<meta name="robots" content="{escape(robots)}">\n' if robots else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)} · The Arboretum</title>
{meta}<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<img src="http://{PICTURES_HOST}/logo.png" alt="Arboretum" width="24" height="24">
<nav><a href="/">Home</a><a href="/trees/">Trees</a><a href="/favourites.html">Favourites</a>
<a href="/visit.html">Visit</a><a href="/private/ledger.html">Members</a></nav>
</header>
<main>
{content}
</main>
<aside>Open every day from nine until dusk. Dogs on a lead. <a href="/visit.html">Plan your visit</a>
Sign up for our newsletter and never miss a blossom.</aside>
<footer>The Arboretum · Terms of use · Cookies · <a href="/map.html">Site map</a><a href="#top">Back to top</a></footer>
</body>
</html>
""".encode()


def article(prose: Prose, pictures: tuple[Picture, ...], links: str = "") -> str:
    """An article with its first picture beside the text and the others in a gallery below."""
    paragraphs = [f"<p>{escape(text)}</p>" for text in prose.paragraphs]
    if pictures:
        paragraphs.insert(1, figure(pictures[0]))
    return (
        f"<article>\n<h1>{escape(prose.title)}</h1>\n"
        + "\n".join(paragraphs)
        + f"\n</article>\n{links}"
        + (gallery([figure(picture) for picture in pictures[1:]]))
    )


def gallery(figures: list[str]) -> str:
    """Figures side by side."""
    return '<section class="gallery">\n' + "\n".join(figures) + "\n</section>\n"


def figure(picture: Picture, url: str = "") -> str:
    """A picture with its caption and licence, under its own URL or another."""
    caption = escape(picture.caption)
    place = picture.caption_place
    alt = caption if place == "alt" else ""
    title = f' title="{caption}"' if place == "title" else ""
    visible = f"<figcaption>{caption}</figcaption>" if place == "figcaption" else ""
    deed, name = _LICENCES[picture.free]
    source = f'src="{url}"' if url else _source(picture)
    return (
        f'<figure><img {source} alt="{alt}"{title}>{visible}'
        f'<small>Drawing {picture.number}, <a rel="license" href="{deed}">{name}</a></small></figure>'
    )


def plain_figure(url: str, alt: str) -> str:
    """A picture of which nobody says under what licence it may be used."""
    return f'<figure><img src="{url}" alt="{escape(alt)}"></figure>'


def link_list(links: list[tuple[str, str]]) -> str:
    """A list of links, each (href, text)."""
    items = "\n".join(f'<li><a href="{href}">{escape(text)}</a></li>' for href, text in links)
    return f"<ul>\n{items}\n</ul>\n"


def has_thumbnail(picture: Picture) -> bool:
    """True where the page offers the picture in two widths."""
    return picture.number % 9 == 2


def thumbnail_path(picture: Picture) -> str:
    """Where the picture's narrow version stands on the pictures' host."""
    return picture.path.rsplit(".", 1)[0] + "-64.jpg"


def _source(picture: Picture) -> str:
    """The attributes that name the file, written as sites of several ages write them."""
    url = f"http://{PICTURES_HOST}{picture.path}"
    if has_thumbnail(picture):
        narrow = f"http://{PICTURES_HOST}{thumbnail_path(picture)}"
        return f'src="{url}" srcset="{narrow} 64w, {url} {picture.view.width}w" sizes="160px"'
    if picture.number % 13 == 5:  # loaded late, by a script
        return f'src="{_DOT}" data-src="{url}"'
    if picture.number % 29 == 7:  # written on a machine with the other slash
        return f'src="{url.replace("/", chr(92))}"'
    return f'src="{url}"'
