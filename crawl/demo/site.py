"""The arboretum's web site, two hosts of it, as bytes.

Beside sixty articles and their pictures it holds what a crawler meets elsewhere: a forbidden folder on each host, a
page and a picture that opt out, copies, a broken picture, redirects, one of them a loop, links to nothing, a bench.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import Final, NamedTuple

from crawl.demo import gallery, layout
from crawl.demo.gallery import Picture
from crawl.demo.layout import PAGES_HOST, PICTURES_HOST
from crawl.demo.prose import KINDS, Prose, slot, write_page
from crawl.demo.species import SPECIES
from crawl.demo.trees import draw_picture

FORBIDDEN_PAGES: Final = "/private/"  # on the pages' host
FORBIDDEN_PICTURES: Final = "/originals/"  # on the pictures' host
NUM_ARTICLES: Final = len(SPECIES) * len(KINDS)

_HTML: Final = "text/html; charset=utf-8"
_NUM_COPIES: Final = 6
_WELCOME: Final = "Twelve kinds of trees grow here, each with five pages of its own. Begin wherever you like."
_VISIT: Final = "The gate is beside the old well. Bring boots in winter and a friend in spring."


class Reply(NamedTuple):
    """What the site answers: status, headers, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Site:
    """Every page and file of the site, made from a seed when first asked for; the same seed gives the same bytes.

    Attributes:
        pictures: the tree pictures, in order.
        owls: pictures shown only on the page that opts out.
        paths: every (host, path) that has an answer.
    """

    def __init__(self, seed: int, num_pictures: int = gallery.NUM_PICTURES) -> None:
        self.seed = seed
        self.pictures = gallery.plan_gallery(seed, num_pictures)
        self.owls = tuple(
            replace(picture, path=f"/owls/{picture.number}.jpg") for picture in gallery.plan_gallery(seed + 1, 2)
        )
        self._makers: dict[tuple[str, str], Callable[[], Reply]] = {}
        self._made: dict[tuple[str, str], Reply] = {}
        self._lock = RLock()  # a copy asks for its original
        self._plan_pages()
        self._plan_traps()
        self._plan_pictures()

    @property
    def paths(self) -> tuple[tuple[str, str], ...]:
        """Every (host, path) that has an answer, in the order of planning."""
        return tuple(self._makers)

    @property
    def files(self) -> Mapping[tuple[str, str], Reply]:
        """Every answer by (host, path); draws whatever has not been asked for yet."""
        return {key: self.reply(*key) for key in self._makers}

    def reply(self, host: str, path: str) -> Reply:
        """The answer of a host to a path; 404 where there is nothing."""
        key = (host, path)
        if key not in self._makers:
            return Reply(404, (("Content-Type", _HTML),), layout.frame("Not found", "<p>Nothing grows here.</p>"))
        with self._lock:
            if key not in self._made:
                self._made[key] = self._makers[key]()
            return self._made[key]

    def _page(self, path: str, title: str, make: Callable[[], str], robots: str = "") -> None:
        """Plan a page whose content `make` writes."""
        self._makers[PAGES_HOST, path] = lambda: Reply(
            200, (("Content-Type", _HTML),), layout.frame(title, make(), robots)
        )

    def _file(self, host: str, path: str, media_type: str, make: Callable[[], bytes], *more: tuple[str, str]) -> None:
        """Plan a file whose bytes `make` draws."""
        self._makers[host, path] = lambda: Reply(200, (("Content-Type", media_type), *more), make())

    def _redirect(self, host: str, path: str, target: str, status: int) -> None:
        self._makers[host, path] = lambda: Reply(status, (("Location", target), ("Content-Type", _HTML)), b"")

    def _plan_pages(self) -> None:
        self._page("/", "Welcome", self._write_home)
        self._page("/trees/", "The trees", lambda: layout.link_list([*_species_links(), *_odd_links()]))
        self._page("/visit.html", "Visit", lambda: f"<article><h1>Visit</h1><p>{_VISIT}</p></article>")
        self._page("/favourites.html", "Favourites", self._write_favourites)
        for species in SPECIES:
            self._page(f"/trees/{species.slug}/", species.name, partial(_write_contents, self.seed, species.slug))
            for kind, pictures in _share_out(self.pictures, species.slug):
                prose = partial(write_page, self.seed, species.slug, kind)
                self._plan_article(_article_path(species.slug, kind), prose(), pictures)
        self._file(PAGES_HOST, "/style.css", "text/css", layout.STYLE.encode)

    def _plan_article(self, path: str, prose: Prose, pictures: tuple[Picture, ...], robots: str = "") -> None:
        self._page(path, prose.title, partial(layout.article, prose, pictures), robots)

    def _plan_traps(self) -> None:
        """What a polite and careful crawler must get right."""
        robots = f"User-agent: *\nDisallow: {FORBIDDEN_PAGES}\n".encode()
        self._file(PAGES_HOST, "/robots.txt", "text/plain; charset=utf-8", lambda: robots)
        self._plan_article(f"{FORBIDDEN_PAGES}ledger.html", write_page(self.seed + 1, "ginkgo", "story"), ())
        self._plan_article("/owls.html", write_page(self.seed + 1, "english-oak", "year"), self.owls, "noai")
        first = SPECIES[0].slug
        portrait = _article_path(first, "portrait")
        self._makers[PAGES_HOST, "/print/portrait.html"] = lambda: self.reply(PAGES_HOST, portrait)
        self._redirect(PAGES_HOST, "/oak", portrait, 301)
        self._redirect(PAGES_HOST, "/path/left", "/path/right", 302)
        self._redirect(PAGES_HOST, "/path/right", "/path/left", 302)
        self._file(PAGES_HOST, "/season-ticket.pdf", "application/pdf", lambda: b"%PDF-1.4\n%%EOF\n")

    def _plan_pictures(self) -> None:
        """The tree pictures, and beside them the odd ones."""
        for picture in (*self.pictures, *self.owls):
            media_type = "image/png" if picture.encoding == "png" else "image/jpeg"
            self._file(PICTURES_HOST, picture.path, media_type, partial(gallery.encode_picture, picture))
        for picture in filter(layout.has_thumbnail, self.pictures):
            narrow = partial(gallery.encode_thumbnail, picture)
            self._file(PICTURES_HOST, layout.thumbnail_path(picture), "image/jpeg", narrow)
        for picture in self._copied():
            self._makers[PICTURES_HOST, _copy_path(picture)] = partial(self.reply, PICTURES_HOST, picture.path)
        self._plan_odd_pictures()

    def _plan_odd_pictures(self) -> None:
        robots = f"User-agent: *\nDisallow: {FORBIDDEN_PICTURES}\n".encode()
        first, last = self.pictures[0], self.pictures[-1]
        spare = gallery.plan_gallery(self.seed + 2, 4)  # shown under these paths only
        add = partial(self._file, PICTURES_HOST)
        add("/robots.txt", "text/plain; charset=utf-8", lambda: robots)
        add("/logo.png", "image/png", lambda: gallery.as_png(gallery.draw_logo()))
        add("/bench.jpg", "image/jpeg", lambda: gallery.as_jpeg(gallery.draw_bench(self.seed)))
        add("/avenue.jpg", "image/jpeg", lambda: gallery.as_jpeg(gallery.draw_avenue(spare[1].view)))
        add("/storm.jpg", "image/jpeg", lambda: _half(gallery.as_jpeg(draw_picture(spare[2].view))))
        add("/resaved.png", "image/png", lambda: gallery.as_png(draw_picture(self._png().view), level=1))
        add("/keeper.jpg", "image/jpeg", partial(gallery.encode_picture, spare[3]), ("X-Robots-Tag", "noai"))
        add(f"{FORBIDDEN_PICTURES}000.jpg", "image/jpeg", partial(gallery.encode_picture, first))
        self._redirect(PICTURES_HOST, "/latest.jpg", last.path, 302)

    def _copied(self) -> tuple[Picture, ...]:
        """The pictures that stand under a second URL too."""
        return self.pictures[: _NUM_COPIES * 7 : 7]

    def _png(self) -> Picture:
        """A picture whose pixels stand in a second file with other bytes."""
        return next(picture for picture in self.pictures if picture.encoding == "png")

    def _write_home(self) -> str:
        figures = [layout.figure(picture) for picture in self.pictures[:3]]
        welcome = f"<article><h1>The Arboretum</h1><p>{_WELCOME}</p></article>"
        return welcome + layout.gallery(figures) + layout.link_list(_species_links())

    def _write_favourites(self) -> str:
        """A gallery of copies and oddities."""
        copies = [layout.figure(picture, f"http://{PICTURES_HOST}{_copy_path(picture)}") for picture in self._copied()]
        odd = [
            ("/resaved.png", self._png().caption),
            ("/bench.jpg", "The bench beside the old well"),
            ("/avenue.jpg", "The long avenue"),
            ("/storm.jpg", "The maple after the storm"),
            ("/keeper.jpg", "A tree that its owner wants left alone"),
            ("/latest.jpg", "Our latest drawing"),
            ("/missing.jpg", "A tree that was felled"),
            (f"{FORBIDDEN_PICTURES}000.jpg", "The first drawing, in its original size"),
        ]
        figures = copies + [layout.plain_figure(f"http://{PICTURES_HOST}{path}", alt) for path, alt in odd]
        return f"<article><h1>Favourites</h1></article>{layout.gallery(figures)}{layout.link_list(_odd_links())}"


def _half(payload: bytes) -> bytes:
    """The first half of a file, as a broken upload leaves it."""
    return payload[: len(payload) // 2]


def _article_path(slug: str, kind: str) -> str:
    return f"/trees/{slug}/{kind}.html"


def _copy_path(picture: Picture) -> str:
    return f"/copies/{picture.number:03d}.{picture.path.rsplit('.', 1)[1]}"


def _species_links() -> list[tuple[str, str]]:
    return [(f"/trees/{species.slug}/", f"{species.name} ({species.latin})") for species in SPECIES]


def _odd_links() -> list[tuple[str, str]]:
    """Links that a crawler must treat with care."""
    return [
        ("/owls.html", "The owls' tree"),
        ("/oak", "The oak"),
        ("/print/portrait.html", "The oak, to print"),
        ("/path/left", "A walk in a circle"),
        ("/map.html", "Map of the grounds"),
        ("/season-ticket.pdf", "Season ticket"),
        (f"{FORBIDDEN_PAGES}ledger.html", "The members' ledger"),
    ]


def _write_contents(seed: int, slug: str) -> str:
    """The table of contents of a species."""
    links = [(_article_path(slug, kind), write_page(seed, slug, kind).title) for kind in KINDS]
    return f"<article><h1>All about {slot(slug, 'plural')}</h1></article>{layout.link_list(links)}"


def _share_out(pictures: tuple[Picture, ...], slug: str) -> Iterator[tuple[str, tuple[Picture, ...]]]:
    """The species' pictures, dealt out to its articles: (kind, pictures)."""
    own = [picture for picture in pictures if picture.view.species.slug == slug]
    for place, kind in enumerate(KINDS):
        yield kind, tuple(own[place :: len(KINDS)])
