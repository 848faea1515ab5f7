"""Objects that bear a mark of whoever put them, by which he knows his own where the answer was lost.

The library of a store tries again by itself, as we do. A further try is refused by what the first has put: because an
object stands there now, or another version of it, or because the parts of an upload were joined already.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from shards.asking import answer_of

_WRITER = "writer"


def put_marked(
    files: Any,  # noqa: ANN401 - fsspec has no types
    path: str,
    send: Callable[..., object],
    condition: Mapping[str, str],
    mark: str | None,
) -> None:
    """Put an object, if a condition holds.

    Args:
        files: The store's file system.
        path: In it.
        send: Puts the object, with what is to be told to the store besides.
        condition: Of those, what the object is put on.
        mark: What no other put has; None where the store takes none.

    Raises:
        FileExistsError: The condition does not hold.
        OSError: As `send`.
    """
    try:
        send(files, path, **condition, **({"Metadata": {_WRITER: mark}} if mark else {}))
    except OSError as error:
        is_refused = bool(condition) and _is_refused(error)
        if not is_refused and not isinstance(error, FileNotFoundError):  # no such upload, or no such bucket
            raise
        if mark and _mark_of(files, path) == mark:
            return
        if not is_refused:
            raise
        raise FileExistsError(f"{path} is another's already") from error


def _mark_of(files: Any, path: str) -> str | None:  # noqa: ANN401 - fsspec has no types
    """Return the mark of an object; None where there is none."""
    with suppress(FileNotFoundError):
        mark: str | None = files.metadata(path).get(_WRITER)
        return mark
    return None


def _is_refused(error: OSError) -> bool:
    """Return whether a condition did not hold.

    Source: Amazon S3, "Conditional writes": 412 where it does not hold, 409 where another writes at the same time.
    """
    return isinstance(error, FileExistsError) or answer_of(error)[0] in (409, 412)
