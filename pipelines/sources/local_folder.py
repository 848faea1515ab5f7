"""Pictures and text on disk."""

from collections.abc import Iterator
from pathlib import Path

from crawl.damage import Damage
from crawl.local_folder import LocalFile, read_folder
from crawl.records import UNKNOWN, LinkRow
from crawl.response import Response
from pipelines.archives import Archive, Listed, RecordError, unreadable
from pipelines.source_recipes import FolderSource
from pipelines.stages import Job

DATE = "1970-01-01T00:00:00Z"
"""Stands as the time when a file was fetched: nothing was, and the time of its copy here decides nothing."""


def open_archive(source: FolderSource, job: Job) -> Archive:
    """How a folder is read: as one part, file by file."""
    folder, name = Path(source.path), _name_among_namesakes(source, job)
    limit = max(job.recipe.crawl.max_page_bytes, job.recipe.crawl.max_picture_bytes)

    def records(_: str) -> Iterator[Listed]:
        for found in read_folder(folder, name):
            if isinstance(found, Damage):
                yield unreadable(f"file:///{name or folder.resolve().name}/{found.source}", DATE, found)
            else:
                yield Listed(_link(found), DATE, f"{found.media_type} {found.path}")

    def read(place: str) -> Response:
        media_type, _, path = place.partition(" ")
        try:
            with (folder / path).open("rb") as file:
                body = file.read(limit + 1)
        except OSError as error:
            raise RecordError("unreadable", str(error.strerror)) from error
        if len(body) > limit:
            raise RecordError("too_many_bytes", f"more than {limit} bytes")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\n".encode()
        return Response(200, head, (("content-type", media_type),), body)

    return Archive(lambda: [("",)], records, read)


def _name_among_namesakes(source: FolderSource, job: Job) -> str | None:
    """What tells a folder from another of the same name in the same crawl; None where its own name does."""
    folder = Path(source.path).resolve()
    others = [(name, each) for name, each in job.recipe.crawl.sources.items() if isinstance(each, FolderSource)]
    folders = {Path(each.path).resolve() for _, each in others}
    if sum(other.name == folder.name for other in folders) < 2:
        return None
    known_as = min(name for name, each in others if Path(each.path).resolve() == folder)
    return f"{folder.name}/{known_as}"


def _link(file: LocalFile) -> LinkRow:
    return LinkRow(
        from_url=file.page_url,
        to_url=file.url,
        kind=file.kind,
        caption=file.caption,
        caption_source="sidecar" if file.caption else "none",
        licence=file.licence,
        licence_url=file.licence_url,
        author=file.author,
        licence_method="sidecar" if file.licence != UNKNOWN else UNKNOWN,
        extra=file.extra,
    )
