"""The files of the user's own that stages read, and what tells whether they are still the same."""

import hashlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import fsspec

from crawl.stored_file import StoredFileError, is_web, open_stored, size_of_stored
from pipelines.errors import StageError, said
from pipelines.fetching import settings_of
from pipelines.nothing_fetched import would_do
from pipelines.recipe import Recipe
from pipelines.score_recipe import BUNDLED, model_identity
from pipelines.source_recipes import FolderSource, UrlsSource, WarcSource
from shards.store import is_url

_SMALL_BYTES = 1 << 26
"""Of a file that is read whole to tell it from others."""


def find_files(patterns: Iterable[str], stage: str = "crawl") -> list[str]:
    """The paths and URLs that patterns stand for, each once, sorted; an http or https URL stands for itself.

    Raises:
        StageError: a pattern stands for none, or for files in a kind of store that nobody here knows.
    """
    found: set[str] = set()
    for pattern in patterns:
        if is_web(pattern):
            found.add(pattern)
            continue
        try:
            filesystem, path = fsspec.url_to_fs(pattern)
        except (ValueError, ImportError) as error:
            raise StageError(f"crawl: {pattern}: {error}; check the files that the recipe names") from error
        matches = (
            [path] if filesystem.isfile(path) else [each for each in filesystem.glob(path) if filesystem.isfile(each)]
        )
        if not matches:
            raise StageError(f"{stage}: {pattern}: no such file; check the files that the recipe names")
        found.update(filesystem.unstrip_protocol(each) if is_url(pattern) else str(each) for each in matches)
    return sorted(found)


def identities(stage: str, recipe: Recipe) -> dict[str, str]:
    """What tells the files that a stage reads, besides those of other stages, from others: part of its fingerprint.

    Raises:
        StageError: a file is missing or cannot be read.
    """
    if stage == "crawl":
        return _of_sources(recipe)
    if stage == "score" and recipe.score is not None:
        return model_identity(recipe.score)
    named: dict[str, list[str]] = {}
    if stage == "text" and recipe.text is not None:
        named["decontaminate"] = recipe.text.decontaminate
        named["quality"] = [recipe.text.quality.head] if recipe.text.quality else []
    if stage == "windows" and recipe.windows is not None and recipe.windows.tokenizer_file:
        named["tokenizer_file"] = [recipe.windows.tokenizer_file]
    try:
        return {
            key: _digest(_sha256(path, recipe) for path in find_files(files, stage))
            for key, files in named.items()
            if files
        }
    except OSError as error:
        raise StageError(f"{stage}: {said(error)}; check the files that the recipe names") from error


def _of_sources(recipe: Recipe) -> dict[str, str]:
    """What tells the files of a recipe's sources from others, by source.

    Lists are told by their bytes. Archives and folders, which may be large, by the names and sizes of their files: one
    that is changed in place without a change in size is read anew only by a new snapshot.

    Raises:
        StageError: a file is missing or cannot be read.
    """
    found = {}
    for name, source in recipe.crawl.sources.items():
        try:
            if isinstance(source, UrlsSource):
                found[name] = _digest(_sha256(path, recipe) for path in find_files(source.files))
            elif isinstance(source, WarcSource):
                files = find_files(source.files)
                sizes = [size_of_stored(path, settings_of(recipe)) for path in files]
                found[name] = _digest(f"{Path(path).name} {size}" for path, size in zip(files, sizes, strict=True))
            elif isinstance(source, FolderSource):
                found[name] = _digest(_listing(name, Path(source.path)))
        except StoredFileError as error:
            raise StageError(f"crawl: source '{name}': {error}; {would_do(error.reason)}") from error
        except OSError as error:
            raise StageError(f"crawl: source '{name}': {said(error)}; check the source's files") from error
    return found


def read_by_workers(stage: str, recipe: Recipe) -> list[str]:
    """What the recipe names on a disk, by path or pattern, and each worker of a stage reads there itself."""
    named: list[str] = []
    for source in recipe.crawl.sources.values() if stage == "crawl" else ():
        if isinstance(source, WarcSource):
            named += source.files
        elif isinstance(source, FolderSource):
            named.append(source.path)
    if stage == "score" and recipe.score is not None and recipe.score.model != BUNDLED:
        named.append(recipe.score.model)
    if stage == "text" and recipe.text is not None:
        named += recipe.text.decontaminate
        named += [recipe.text.quality.head] if recipe.text.quality else []
    return [name for name in named if not is_url(name)]


def file_digests(names: Iterable[str]) -> dict[str, str]:
    """What tells files of this machine's disk from others, by path or pattern: names, sizes, of small ones the bytes.

    Raises:
        StageError: there is none of a name.
    """
    return {name: _digest(_told_apart(name)) for name in names}


def _told_apart(name: str) -> Iterator[str]:
    if Path(name).is_dir():
        yield from _listing(name, Path(name))
        return
    for path in map(Path, find_files([name])):
        size = path.stat().st_size
        yield f"{path.name} {size} {hashlib.sha256(path.read_bytes()).hexdigest() if size <= _SMALL_BYTES else ''}"


def _listing(name: str, folder: Path) -> list[str]:
    if not folder.is_dir():
        raise StageError(f"crawl: source '{name}': {folder} is no folder; check the source's path")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in paths]


def _sha256(path: str, recipe: Recipe) -> str:
    with open_stored(path, settings_of(recipe)) as file:
        return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
