"""Pictures, their captions and texts in a folder of this machine.

A picture is what begins like one, whatever its name. Beside `oak.jpg`, `oak.txt` holds its caption and `oak.json` an
object with `caption`, `licence` (or `license`), `licence_url`, `author` and `url`; its other fields are carried along.
Every other `.txt`, `.md` and `.html` is a document.

A file is known as `file:///FOLDER/RELATIVE/PATH`, percent-encoded, where FOLDER is the folder's own name: the same on
every machine, and nothing of what lies above it is told. Hidden files and folders (`.name`) are left alone.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from crawl.damage import Damage, damage
from crawl.licences import spdx_of_name, spdx_of_url
from crawl.records import UNKNOWN
from crawl.signatures import sniff_picture
from crawl.urls import canonical_url

MAX_SIDECAR_BYTES = 2**20
"""Bytes a file beside a picture may have."""

_HEAD_BYTES = 4096
_DOCUMENTS = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
}
_SIDECARS = (".txt", ".json")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class LocalFile(NamedTuple):
    """One picture or document of a folder.

    Attributes:
        url: what it is known as; see the module.
        path: relative to the folder, with slashes.
        kind: "image", or "page" for a document.
        media_type: of a picture by its content, of a document by its name.
        num_bytes: its length.
        caption: of a picture, white space folded, "" where there is none.
        licence: SPDX identifier, or the words found where they are no licence we know; "unknown" where there is none.
        licence_url: canonical URL of the licence, "unknown" where there is none.
        author: "unknown" where there is none.
        page_url: canonical URL it came from, "" where that is not told.
        extra: JSON object of the other fields, keys sorted.
    """

    url: str
    path: str
    kind: Literal["image", "page"]
    media_type: str
    num_bytes: int
    caption: str = ""
    licence: str = UNKNOWN
    licence_url: str = UNKNOWN
    author: str = UNKNOWN
    page_url: str = ""
    extra: str = "{}"


class _UnusableError(Exception):
    """A file nothing comes of; `reason` is a snake_case fact."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_folder(folder: Path, name: str | None = None) -> Iterator[LocalFile | Damage]:
    """Yield the pictures and documents of a folder and of those below it, and every file nothing comes of.

    Files come before the folders beside them, both sorted by name, the ending last. A link to a folder is not followed,
    and a link to a file only where that lies in the folder too.

    Args:
        folder: where to look.
        name: what the folder is known as in URLs; its own name if None.

    Raises:
        NotADirectoryError: there is no such folder.
        ValueError: the folder has no name of its own, being a root.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    if not (name or root.name):
        raise ValueError(f"{folder} has no name of its own; give one")
    due = [""]
    while due:
        below = due.pop()
        try:
            files, folders = _listing(root / below)
        except OSError as error:
            yield damage(below or ".", 0, "unreadable", _words(error))
            continue
        for _, names in groupby(files, key=_stem):
            yield from _read_namesakes(root, [f"{below}{file}" for file in names], name or root.name)
        due += [f"{below}{sub}/" for sub in reversed(folders)]


def local_url(name: str, path: str) -> str:
    """Return what a file of a folder is known as.

    Args:
        name: what the folder is known as; it may have slashes.
        path: relative to it, with slashes.

    >>> local_url("trees", "old oaks/1.jpg")
    'file:///trees/old%20oaks/1.jpg'
    """
    return f"file:///{quote(name)}/{quote(path)}"


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of files, those alike but for the ending together, and of folders; neither of hidden ones."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name[0] != "."]
    files = sorted((name for name, is_folder in found if not is_folder), key=lambda name: (_stem(name), name))
    return files, sorted(name for name, is_folder in found if is_folder)


def _read_namesakes(root: Path, paths: list[str], name: str) -> Iterator[LocalFile | Damage]:
    """Yield what comes of the files of one name but for the ending: pictures, their side-cars, documents."""
    heads: dict[str, tuple[bytes, int]] = {}
    for path in paths:
        try:
            heads[path] = _head(root, path)
        except _UnusableError as error:
            yield damage(path, 0, error.reason, str(error))
    pictures = {path: media_type for path, (head, _) in heads.items() if (media_type := sniff_picture(head))}
    sidecars = [path for path in heads if pictures and path not in pictures and path.endswith(_SIDECARS)]
    fields: dict[str, Any] = {}
    for path in sidecars:
        try:
            fields |= _sidecar(root / path, fields)
        except _UnusableError as error:
            yield damage(path, 0, error.reason, str(error))
    for path, (head, num_bytes) in heads.items():
        if path in pictures:
            yield _picture(LocalFile(local_url(name, path), path, "image", pictures[path], num_bytes), fields)
        elif path not in sidecars:
            yield _document(path, head, num_bytes, name)


def _head(root: Path, path: str) -> tuple[bytes, int]:
    """Return the first bytes of a file, and its length.

    Raises:
        _UnusableError: it is none that may be read.
    """
    if _LONE_SURROGATE.search(path):
        raise _UnusableError("bad_name", "its name is not UTF-8")
    file = root / path
    try:
        if not file.resolve(strict=True).is_relative_to(root):
            raise _UnusableError("outside_folder", "a link out of the folder")
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _UnusableError("linked_folder", "a link to a folder")
        if not stat.S_ISREG(status.st_mode):
            raise _UnusableError("not_a_file", "a pipe, socket or device")
        if not status.st_size:
            raise _UnusableError("empty", "")
        with file.open("rb") as opened:
            return opened.read(_HEAD_BYTES), status.st_size
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself, before Python 3.13
        raise _UnusableError("unreadable", _words(error)) from error


def _document(path: str, head: bytes, num_bytes: int, name: str) -> LocalFile | Damage:
    media_type = _DOCUMENTS.get(PurePosixPath(path).suffix.lower())
    if media_type is None:
        return damage(path, 0, "unsupported_type", f"neither a picture nor one of {', '.join(_DOCUMENTS)}")
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return damage(path, 0, "not_text", "its name says text, and it holds zero bytes")
    return LocalFile(local_url(name, path), path, "page", media_type, num_bytes)


def _sidecar(file: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields a file beside a picture holds; a caption of its own file goes before one among others.

    Raises:
        _UnusableError: it is too long, not UTF-8, or not a JSON object.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_SIDECAR_BYTES + 1)
    except OSError as error:
        raise _UnusableError("unreadable", _words(error)) from error
    if len(data) > MAX_SIDECAR_BYTES:
        raise _UnusableError("too_many_bytes", f"more than {MAX_SIDECAR_BYTES} bytes beside a picture")
    try:
        text = data.decode("utf-8-sig")
        found = {"caption": text} if file.suffix == ".txt" else _parsed(text)
    except UnicodeDecodeError as error:
        raise _UnusableError("not_utf8", "save it as UTF-8") from error
    except RecursionError as error:
        raise _UnusableError("bad_json", "nested too deep") from error
    except ValueError as error:
        raise _UnusableError("bad_json", _words(error)) from error
    if not isinstance(found, dict):
        raise _UnusableError("bad_json", "no JSON object")
    if file.suffix == ".json" and "caption" in known:
        return {**found, "caption": known["caption"]}
    return found


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value that can be written as JSON too, None for its NaN and infinities."""
    value = json.loads(text, parse_constant=lambda _: None)
    json.dumps(value)
    return value


def _picture(file: LocalFile, fields: Mapping[str, Any]) -> LocalFile:
    """Return a picture with what the files beside it say."""
    left = dict(fields)
    caption = _folded(left.pop("caption", ""))
    licence = _folded(left.pop("licence", "") or left.pop("license", ""))
    link = _folded(left.pop("licence_url", "") or left.pop("license_url", "")) or licence
    licence_url = canonical_url(link) or UNKNOWN
    known = [found for found in (spdx_of_url(licence_url), spdx_of_name(licence)) if found != UNKNOWN]
    author = _folded(left.pop("author", ""))
    page_url = canonical_url(_folded(left.get("url", "")))
    if page_url is not None:
        del left["url"]
    return file._replace(
        caption=caption,
        licence=(known or [licence or UNKNOWN])[0],
        licence_url=licence_url,
        author=author or UNKNOWN,
        page_url=page_url or "",
        extra=_LONE_SURROGATE.sub("\ufffd", json.dumps(left, ensure_ascii=False, sort_keys=True)),
    )


def _folded(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return _LONE_SURROGATE.sub("\ufffd", " ".join(value.split())) if isinstance(value, str) else ""


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _words(error: Exception) -> str:
    """Return what an error says, without the path of this machine."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "a link that leads to itself" if isinstance(error, RuntimeError) else " ".join(str(error).split())
