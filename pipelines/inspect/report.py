"""The build report: the views of a sample of what was built, as a folder of pages that need no server.

Pages are written from the overview on, along the links between them, as many of each view as `MOST` says; what lies
beyond is not linked to.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipelines.errors import StageError
from pipelines.inspect.drawings import DRAWINGS, cannot_be_drawn
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.rendering import (
    FAILURES,
    PAGES,
    Frames,
    new_environment,
    read_assets,
    render_fragment,
    render_page,
)
from pipelines.inspect.sources import Source, Trouble
from pipelines.inspect.views.overview import overview
from shards.manifest import atomic_write

INDEX = "index.html"

MOST: Mapping[str, int] = {
    "overview": 1,
    "pictures": 1,
    "triplets": 1,
    "triplet": 12,
    "windows": 1,
    "window": 12,
    "prose": 1,
    "funnel": 1,
    "rejects": 60,
    "trainer": 1,
    "shards": 1,
    "diff": 12,
    "item": 48,
}
"""Pages written of each view; of views that are not here, none."""

LADDER_STEP = 10
"""Per cent between two levels of a ladder whose pictures are written."""

_PLAIN = re.compile(r"[A-Za-z0-9_\-]{1,80}")


class Written:
    """Addresses within a folder; what they name is noted, to be written.

    Attributes:
        pages: what each page shows, by its file's name; more come while pages are rendered.
        pictures: what each picture shows, by its file's name.
    """

    is_live = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self.pages: dict[str, tuple[str, Mapping[str, str]]] = {INDEX: ("overview", {})}
        self.pictures: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.environment = new_environment(self)

    def page(self, name: str, params: Mapping[str, str]) -> str:
        """See `Links`: a page of the sample, or one that still has room in it."""
        file = INDEX if name == "overview" else f"{_named(name, params)}.html"
        if file not in self.pages:
            so_far = sum(other == name for other, _ in self.pages.values())
            if so_far >= MOST.get(name, 0) or not self._is_there(name):
                return ""
            self.pages[file] = (name, params)
        return file

    def picture(self, kind: str, params: Mapping[str, str]) -> str:
        """See `Links`."""
        name = f"pictures/{_named(kind, params)}.png"
        self.pictures[name] = (kind, params)
        return name

    def ladder(self, params: Mapping[str, str]) -> Frames:
        """See `Links`."""
        stem = f"pictures/{_named('ladder', params)}"
        for percent in range(0, 101, LADDER_STEP):
            self.pictures[f"{stem}-{percent}.png"] = ("ladder", {**params, "percent": str(percent)})
        return Frames(f"{stem}-{{}}.png", LADDER_STEP)

    def asset(self, name: str) -> str:
        """See `Links`."""
        return f"static/{name}"

    def later(self, name: str, params: Mapping[str, str]) -> Markup:
        """See `Links`: here it comes at once."""
        return Markup(render_fragment(self._source, self.environment, name, Query(params)).text)

    def _is_there(self, name: str) -> bool:
        """Whether a view has anything to show."""
        needs = PAGES[name].needs.split()
        return not needs or any(self._source.stage(stage) is not None for stage in needs)


class Report(NamedTuple):
    """A report that was written: its first page, and what that says is wrong."""

    page: Path
    troubles: list[Trouble]


def write_report(out: Path) -> Report:
    """Writes `out/report/index.html` and the pages behind it.

    Raises:
        StageError: nothing was built in `out`, or nothing of it can be read.
    """
    source = Source(out)
    states, troubles = source.stages()
    if not any(state.manifest for state in states):
        if len(troubles) == 1 and troubles[0].where != str(out):
            raise StageError(troubles[0].what)
        raise StageError(f"{out}: nothing was built there; run 'seedbed build RECIPE --out {out}'")
    report = out / "report"
    shutil.rmtree(report, ignore_errors=True)
    for folder in ("static", "pictures"):
        (report / folder).mkdir(parents=True, exist_ok=True)
    for name, content in read_assets().items():
        (report / "static" / name).write_bytes(content)
    written = Written(source)
    rendered = _render_all(source, written)
    for name, (kind, params) in written.pictures.items():
        (report / name).write_bytes(_draw(source, kind, params))
    for name, text in sorted(rendered.items(), key=lambda page: page[0] == INDEX):  # the first page comes last
        atomic_write(report / name, text.encode())
    return Report(report / INDEX, overview(source, Query({})).troubles)


def _render_all(source: Source, written: Written) -> dict[str, str]:
    """All pages of the sample, by name: rendering one may ask for more."""
    rendered: dict[str, str] = {}
    while due := written.pages.keys() - rendered.keys():
        for file in sorted(due):
            name, params = written.pages[file]
            rendered[file] = render_page(source, written.environment, name, Query(params)).text
    return rendered


def _draw(source: Source, kind: str, params: Mapping[str, str]) -> bytes:
    try:
        return DRAWINGS[kind](source, Query(params))
    except (QueryError, *FAILURES):
        return cannot_be_drawn()


def _named(name: str, params: Mapping[str, str]) -> str:
    """The stem of a file for a view or picture: its parameters where they are plain, else a hash of them."""
    values = [name, *params.values()]
    stem = "-".join(values)
    if all(map(_PLAIN.fullmatch, values)) and len(stem) < 100:
        return stem
    return f"{name}-{hashlib.sha256(json.dumps(dict(params), sort_keys=True).encode()).hexdigest()[:16]}"
