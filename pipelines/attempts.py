"""Work that may be done twice at a time: each attempt has its own number, and none before it can commit any more.

A cluster begins work anew whose worker it takes for lost, though it may only have been cut off, and may wake at any
moment: just between looking at its lease and committing, too. So an attempt commits its segments in order, each by
creating a receipt, which fails where one of that name stands. Whoever begins the next attempt first puts an empty
receipt where the one before would put its next: from then on what that one has committed does not change.
"""

from collections.abc import Iterator
from contextlib import suppress

from pipelines.receipts import WORK, Receipt, all_receipts, create_receipt, receipt_names
from shards.object_path import AnyPath

_FOLDER = f"{WORK}/attempts"


def begin_attempt(folder: AnyPath, work: str) -> str:
    """Ends all attempts at some work so far, and returns the name of a new one, which begins those of its segments.

    Args:
        folder: the crawl's folder.
        work: names what is to be done, without a dot; the first attempt is called the same.
    """
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    attempts = [work]
    while not _is_new(folder, attempts[-1]):
        attempts.append(f"{work}.{len(attempts)}")
    for attempt in attempts[:-1]:
        _end(folder, attempt)
    return attempts[-1]


def committed(folder: AnyPath, work: str) -> Iterator[Receipt]:
    """What all attempts at some work have committed."""
    for name, receipt in all_receipts(folder):
        if _attempt_of(name).partition(".")[0] == work:
            yield receipt


def finish_attempt(folder: AnyPath, attempt: str) -> None:
    """Notes that an attempt has done all it had to."""
    (folder / _FOLDER / attempt).unlink(missing_ok=True)


def end_attempts(folder: AnyPath) -> None:
    """Ends all attempts that have not finished; nobody may be about to begin one."""
    for attempt in sorted(path.name for path in (folder / _FOLDER).glob("*")):
        _end(folder, attempt)
        finish_attempt(folder, attempt)


def segment_name(attempt: str, number: int) -> str:
    """The name of an attempt's segment, counted from 0."""
    return f"{attempt}-{number:05d}"


def _attempt_of(segment: str) -> str:
    return segment.rpartition("-")[0]


def _num_receipts(folder: AnyPath, attempt: str) -> int:
    return sum(_attempt_of(name) == attempt for name in receipt_names(folder))


def _is_new(folder: AnyPath, attempt: str) -> bool:
    with suppress(FileExistsError):
        (folder / _FOLDER / attempt).touch(exist_ok=False)
        return not _num_receipts(folder, attempt)
    return False


def _end(folder: AnyPath, attempt: str) -> None:
    """Takes the place of the next receipt of an attempt, which may be creating it at this moment."""
    number = _num_receipts(folder, attempt)
    while not create_receipt(folder, segment_name(attempt, number), Receipt()):
        number += 1
