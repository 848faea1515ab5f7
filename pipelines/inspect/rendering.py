"""Views as HTML: which there are, and how their addresses are written; the same for the server and for files."""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

import jinja2
from markupsafe import Markup

from pipelines.errors import SeedbedError
from pipelines.inspect.charts import Bar
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.sources import READING, Source, Trouble
from pipelines.inspect.views import (
    difference,
    funnel,
    item,
    overview,
    pictures,
    prose,
    search,
    shards,
    trainer,
    triplets,
    windows,
)

View = Callable[[Source, Query], Any]


class Page(NamedTuple):
    """A view with a page of its own.

    Attributes:
        name: of the view, of its template, and in its address.
        title: for people.
        view: makes what the template shows.
        parent: the tab it belongs to, "" where it is one.
        needs: the stage without which there is nothing to show, "" where it always has something.
    """

    name: str
    title: str
    view: View
    parent: str = ""
    needs: str = ""


PAGES: Mapping[str, Page] = {
    page.name: page
    for page in (
        Page("overview", "Overview", overview.overview),
        Page("pictures", "Pictures", pictures.pictures, needs="images"),
        Page("triplets", "Triplets", triplets.triplets, needs="triplets"),
        Page("triplet", "Triplet", triplets.triplet, "triplets"),
        Page("windows", "Windows", windows.windows, needs="windows"),
        Page("window", "Window", windows.window, "windows"),
        Page("prose", "Prose", prose.prose, needs="text"),
        Page("funnel", "Funnel", funnel.funnel),
        Page("rejects", "Turned away", funnel.rejects, "funnel"),
        Page("trainer", "Trainer", trainer.trainer, needs="triplets windows"),
        Page("shards", "Shards", shards.shards),
        Page("diff", "Diff", difference.diff),
        Page("item", "Item", item.item, "search"),
        Page("record", "As it was stored", item.record, "search"),
        Page("forget", "Forget", item.forget, "search"),
        Page("search", "Search", search.search, "search"),
    )
}
TABS = tuple(page for page in PAGES.values() if not page.parent)

FRAGMENTS: Mapping[str, View] = {
    "charts": overview.charts,
    "diff_records": difference.diff_records,
    "document_windows": item.document_windows,
    "denoised": trainer.denoised_rows,
    "grown": trainer.grown_rows,
    "next_words": trainer.next_word_rows,
}
"""Parts of pages that take a while, by the names of their templates: they come when the page stands."""


class Frames(NamedTuple):
    """Addresses of a ladder's pictures, `{}` for the level in per cent, and the levels between two of them."""

    pattern: str
    step: int


def read_assets() -> dict[str, bytes]:
    """The files of style and script, by name."""
    folder = files("pipelines.inspect").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class Links(Protocol):
    """How addresses are written.

    Attributes:
        is_live: whether a server answers them.
    """

    is_live: bool

    def page(self, name: str, params: Mapping[str, str]) -> str:
        """The address of a view's page, "" where there is none."""

    def picture(self, kind: str, params: Mapping[str, str]) -> str:
        """The address of a picture."""

    def ladder(self, params: Mapping[str, str]) -> Frames:
        """The addresses of a picture at all levels."""

    def asset(self, name: str) -> str:
        """The address of a file of style or script."""

    def later(self, name: str, params: Mapping[str, str]) -> Markup:
        """A part of a page that may come later."""


@dataclass(frozen=True)
class Rendered:
    """A page, and whether it answers what was asked: `asked_wrongly`, `not_there` or neither."""

    text: str
    asked_wrongly: bool = False
    not_there: bool = False


POLICY = (
    "default-src 'none'; img-src 'self' file:; style-src 'self' file:; script-src 'self' file:; base-uri 'none'; "
    "form-action 'none'"
)
"""Of pages written as files; the server sends its own."""


def new_environment(links: Links) -> jinja2.Environment:
    """Templates that write addresses as `links` does."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.inspect"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "exp": _exp,
        "thousands": "{:,}".format,
        "zip": lambda *lists: list(zip(*lists, strict=True)),
    }
    environment.filters |= {"length_of": _length_of, "tojson_text": json.dumps}
    environment.globals |= {
        "live": links.is_live,
        "policy": POLICY,
        "tabs": TABS,
        "page": lambda name, /, **params: links.page(name, given(params)),
        "picture": lambda kind, /, **params: links.picture(kind, given(params)),
        "ladder": lambda **params: links.ladder(given(params)),
        "asset": links.asset,
        "later": lambda name, params: links.later(name, given(params)),
    }
    return environment


def given(params: Mapping[str, object]) -> dict[str, str]:
    """Parameters as an address has them: what is empty, or a number that is its default of 0, is left out."""
    values = {name: str(value) for name, value in params.items() if value is not None}
    return {name: value for name, value in sorted(values.items()) if value and (value != "0" or name not in _FROM_0)}


_FROM_0 = frozenset({"first", "step", "seed", "epoch", "position", "rank", "row"})


def _exp(number: float) -> float:
    """E to a power, infinite where that is beyond a float."""
    return math.exp(number) if number < math.log(sys.float_info.max) else math.inf


def _length_of(bar: Bar) -> int:
    return bar.number + bar.away


def render_page(source: Source, environment: jinja2.Environment, name: str, query: Query) -> Rendered:
    """A view's page; where it has nothing to show, one that says what is wrong."""
    page = PAGES[name]
    if not any(map(source.splits, page.needs.split())) and page.needs and source.stage(page.needs) is None:
        return Rendered(_problem(source, environment, page, Trouble(page.needs, "not built here")), not_there=True)
    try:
        view = page.view(source, query)
        text = environment.get_template(f"{name}.html").render(
            _context(source, page, query), view=view, troubles=view.troubles
        )
    except QueryError as error:
        return Rendered(_problem(source, environment, page, Trouble("asked", str(error))), asked_wrongly=True)
    except FAILURES as error:
        return Rendered(_problem(source, environment, page, Trouble(page.title, told(error))))
    return Rendered(text)


def render_fragment(source: Source, environment: jinja2.Environment, name: str, query: Query) -> Rendered:
    """A part of a page, or what is wrong with it."""
    try:
        view, has_triplets = FRAGMENTS[name](source, query), bool(source.splits("triplets"))
        return Rendered(environment.get_template(f"{name}.html").render(view=view, has_triplets=has_triplets))
    except (QueryError, *FAILURES) as error:
        text = environment.from_string('<p class="wrong">{{ told }}</p>').render(told=told(error))
        return Rendered(text, asked_wrongly=isinstance(error, QueryError))


WRONG_KIND = (TypeError, AttributeError, ArithmeticError, jinja2.UndefinedError)
"""What a view or a template raises that is given values of another kind than a build writes."""

FAILURES = (SeedbedError, ModuleNotFoundError, RuntimeError, *WRONG_KIND, *READING)
"""What a view of a damaged or partial build raises; `RunError` of `models` is told by its message too."""


def told(error: Exception) -> str:
    """An error as a person is told of it."""
    if isinstance(error, ModuleNotFoundError):
        return f"this needs {error.name}, which is not installed: pip install '.[all]'"
    if isinstance(error, LookupError):
        return f"{error} is missing from what a build writes: built by another version; build again"
    if isinstance(error, WRONG_KIND):
        return f"what lies there is not what a build writes ({error}); build again"
    return str(error) or type(error).__name__


def _context(source: Source, page: Page, query: Query) -> dict[str, Any]:
    return {
        "name": source.name,
        "title": page.title,
        "heading": "",
        "is_quiet": page.name in ("triplet", "window"),
        "view_name": page.name,
        "parent": page.parent,
        "asked": query.values,
        "has_triplets": bool(source.splits("triplets")),
        "triplet_splits": source.splits("triplets"),
        "has_images": source.stage("images") is not None,
    }


def _problem(source: Source, environment: jinja2.Environment, page: Page, trouble: Trouble) -> str:
    troubles = [trouble, *source.stages()[1]]
    return environment.get_template("problem.html").render(
        _context(source, page, Query({})), troubles=troubles, hint=""
    )
