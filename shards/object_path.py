"""Paths in an object store, with those of `pathlib.Path`'s methods that whoever writes there uses.

A store has neither folders nor renaming, and needs none: an object is seen whole or not at all, from the moment that
its last byte was taken. What is written goes into a file without a name on this machine, and is put there when it is
whole, in one request, or in parts where it is large. An object that must be new is created on a condition that the
store itself checks: of all who try, one succeeds.

Keys and endpoints are those of the environment, as the store's own tools take them (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL` and so on).

Source: Amazon S3, "Conditional writes"; RFC 9110, section 13.1: `If-None-Match: *`, `If-Match`.
"""

import fnmatch
import io
import posixpath
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shards.asking import Answer, RefusalError, ask
from shards.growing_object import growing
from shards.marked import put_marked
from shards.ranges import write_ranges

ONE_PUT_BYTES = 64 * 2**20
"""Up to which an object is held in memory to be put in one request."""


class Listed(NamedTuple):
    """What a store says of an object: its size, and what tells its content from all others that it had."""

    bytes: int
    version: str


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A path in an object store.

    >>> ObjectPath("s3://bucket/OUT") / "crawl" / "../current"
    ObjectPath(url='s3://bucket/OUT/current')

    Attributes:
        url: With the store's protocol, such as `s3://bucket/OUT`.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "ObjectPath":
        protocol, _, path = self.url.partition("://")
        return ObjectPath(f"{protocol}://{posixpath.normpath(posixpath.join(path, name))}")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return posixpath.basename(self.url)

    @property
    def suffix(self) -> str:
        """The name's last part, with its dot."""
        return posixpath.splitext(self.name)[1]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "ObjectPath":
        """The folder that this is in."""
        return ObjectPath(posixpath.dirname(self.url))

    def with_name(self, name: str) -> "ObjectPath":
        """Return what is called `name` in the same folder."""
        return self.parent / name

    def with_suffix(self, suffix: str) -> "ObjectPath":
        """Return what has the same name but for its suffix."""
        return self.with_name(f"{self.stem}{suffix}")

    def resolve(self) -> "ObjectPath":
        """Return this path: a store has no links."""
        return self

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a store has no folders."""

    def exists(self) -> bool:
        """Return whether there is an object."""
        return self.look() is not None

    is_file = exists

    def look(self) -> Listed | None:
        """Return what the store says of the object now, None where there is none."""
        with suppress(FileNotFoundError):
            found = self._ask(lambda files, path: files.info(path))
            if found["type"] == "file":
                return _listed(found)
        return None

    def read_bytes(self) -> bytes:
        """Return the whole object.

        Raises:
            FileNotFoundError: There is none.
        """
        data: bytes = self._ask(lambda files, path: files.cat_file(path))
        return data

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the whole object as text; errors as `read_bytes`."""
        return self.read_bytes().decode(encoding)

    def read_range(self, offset: int, length: int) -> bytes:
        """Return a part of the object, shorter where it ends; errors as `read_bytes`."""
        data: bytes = self._ask(lambda files, path: files.cat_file(path, start=offset, end=offset + length))
        return data

    def fetch(self, file: BinaryIO, num_bytes: int) -> None:
        """Write the whole object, of so many bytes, into a file; errors as `read_bytes`."""
        write_ranges(file, num_bytes, self.read_range)

    def write_bytes(self, data: bytes, *, is_new: bool = False) -> None:
        """Put a whole object.

        Raises:
            FileExistsError: `is_new`, and there is one.
        """
        self._put(lambda files, path, **how: files.pipe_file(path, data, **how), _if_new(is_new))

    def write_text(self, text: str) -> None:
        """Put a whole object."""
        self.write_bytes(text.encode())

    def touch(self, *, exist_ok: bool = True) -> None:
        """Put an empty object, unless there is one; errors as `write_bytes`."""
        if not exist_ok or not self.exists():
            self.write_bytes(b"", is_new=not exist_ok)

    def replace_seen(self, data: bytes, seen: Listed | None) -> None:
        """Put a whole object in the place of the one that was seen before.

        Raises:
            FileExistsError: Another stands there by now.
        """
        if seen is None:
            self.write_bytes(data, is_new=True)
            return
        if self.look() != seen:
            raise FileExistsError(f"{self} is another's by now")
        condition = {"IfMatch": seen.version} if self.url.startswith("s3://") else {}
        self._put(lambda files, path, **how: files.pipe_file(path, data, **how), condition)

    @contextmanager
    def created(self, *, is_new: bool = False) -> Iterator[BinaryIO]:
        """Yield a file of this machine that is put when the block ends without an error; errors as `write_bytes`.

        It is written from its beginning to its end; a large one is sent meanwhile.
        """
        with growing(self._ask, is_sent=self.url.startswith("s3://") and not is_new) as file:
            yield file
            if file.finish():
                return
            if file.seek(0, io.SEEK_END) <= ONE_PUT_BYTES:
                file.seek(0)
                self.write_bytes(file.read(), is_new=is_new)
                return
            name = f"/dev/fd/{file.fileno()}"
            self._put(lambda files, path, **how: files.put_file(name, path, **how), _if_new(is_new))

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the object; where there is none, nothing happens."""
        with suppress(FileNotFoundError):
            self._ask(lambda files, path: files.rm_file(path))

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield the objects in this folder, not in folders below, whose names match a pattern."""
        for name in self.listing(is_deep=False):
            if fnmatch.fnmatchcase(name, pattern):
                yield self / name

    def listing(self, *, is_deep: bool = True) -> dict[str, Listed]:
        """Return what the store says of the objects in this folder, by name, and of those in folders below.

        Some stores list folders too, as objects whose names end in a slash.
        """
        depth = None if is_deep else 1
        root, found = self._ask(lambda files, path: (path, files.find(path, maxdepth=depth, detail=True)))
        return {
            name.removeprefix(f"{root}/"): _listed(entry)
            for name, entry in found.items()
            if name.startswith(f"{root}/") and entry["type"] == "file" and not name.endswith("/")
        }

    def folders(self) -> list["ObjectPath"]:
        """Return the folders in this one, sorted: what stands before a slash in names of objects."""
        found = self._ask(lambda files, path: files.find(path, maxdepth=1, withdirs=True, detail=True))
        names = {posixpath.basename(name) for name, entry in found.items() if entry["type"] == "directory"}
        return [self / name for name in sorted(names - {self.name})]

    def read_each(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return objects in this folder, many asked for at once, as far as they are there."""
        wanted = list(names)
        found = self._ask(lambda files, root: _read_each(files, root, wanted))
        read: dict[str, bytes] = {}
        for name, data in zip(wanted, found, strict=True):
            with suppress(FileNotFoundError):
                read[name] = data if isinstance(data, bytes) else (self / name).read_bytes()
        return read

    def remove_each(self, names: Iterable[str]) -> None:
        """Remove objects in this folder, many in one request."""
        wanted = list(names)
        if wanted:
            self._ask(lambda files, root: files.rm([f"{root}/{name}" for name in wanted]))

    def _put(self, send: Callable[..., object], condition: Mapping[str, str]) -> None:
        """Put an object, if a condition holds."""
        mark = secrets.token_hex(8) if self.url.startswith("s3://") else None
        self._ask(lambda files, path: put_marked(files, path, send, condition, mark))

    def _ask(self, request: Callable[..., Answer]) -> Answer:
        return ask(self.url, lambda: request(*_open(self.url)))


AnyPath = Path | ObjectPath
"""Where whoever builds writes: on this machine or in an object store."""


def any_path(path: "str | AnyPath") -> AnyPath:
    """Return a path as what it is.

    >>> any_path("s3://bucket/OUT"), any_path("OUT").name
    (ObjectPath(url='s3://bucket/OUT'), 'OUT')
    """
    if isinstance(path, ObjectPath):
        return path
    return ObjectPath(str(path).rstrip("/")) if "://" in str(path) else Path(path)


def files_below(folder: AnyPath) -> dict[str, int]:
    """Return the sizes of all files in a folder and in those below, by their paths from there."""
    if isinstance(folder, ObjectPath):
        return {name: found.bytes for name, found in folder.listing().items()}
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and all that is in it, as far as it is there."""
    if isinstance(folder, ObjectPath):
        folder.remove_each(folder.listing())
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _if_new(is_new: bool) -> dict[str, str]:
    return {"mode": "create"} if is_new else {}


def _listed(entry: dict[str, Any]) -> Listed:
    return Listed(entry["size"], str(entry.get("ETag") or (entry.get("LastModified"), entry["size"])))


def _open(url: str) -> tuple[Any, str]:
    """Return this process's file system for a URL, one that remembers no listings, and the path in it."""
    import fsspec  # noqa: PLC0415 - nobody needs it for local files

    try:
        file_system, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        told = "pip install '.[remote]' in Seedbed's folder, or name a store as s3://BUCKET/PATH"
        raise RefusalError(f"{url}: {error}; {told}") from error
    return file_system, path


def _read_each(file_system: Any, root: str, names: list[str]) -> list[object]:  # noqa: ANN401 - fsspec has no types
    """Return what a store answers when asked for some objects at once: bytes, or errors."""
    paths = [f"{root}/{name}" for name in names]
    if len(paths) < 2:  # one alone is given without its name, or as an error
        return [None] * len(paths)
    found = file_system.cat(paths, on_error="return")
    return [found[path] for path in paths]
