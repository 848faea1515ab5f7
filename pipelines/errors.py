"""What a person can do something about: errors whose message is all that need be shown.

This module imports nothing heavy, so that the command line can name them without loading what raises them.
"""

import errno


class SeedbedError(Exception):
    """An error whose message says what, where and what would do."""


class StageError(SeedbedError):
    """A stage cannot do its work."""


class TombstoneError(SeedbedError):
    """`tombstones.jsonl` cannot be read; nothing is built rather than bringing back what was forgotten."""


class RecipeError(SeedbedError, ValueError):
    """The recipe cannot be used; the message has a line a problem."""


def said(error: BaseException) -> str:
    """What an error says, or what it is where it says nothing."""
    return str(error) or type(error).__name__


_NOT_YOURS = "choose a folder that you may write to"
_FULL = "free some space and run again: what is finished is kept"
_ADVICE = {
    errno.EACCES: _NOT_YOURS,
    errno.EPERM: _NOT_YOURS,
    errno.EROFS: _NOT_YOURS,
    errno.ENOTDIR: "a part of that path is a file; choose another path",
    errno.EEXIST: "a file stands in the way; choose another path",
    errno.EISDIR: "a folder stands where a file belongs; move it away",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "links lead in a circle there; choose another path",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: "the disk cannot be read or written; see the system's log",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def advice(number: int | None) -> str | None:
    """What a person can do about this errno, or None where it is an error of the program rather than the machine."""
    return None if number is None else _ADVICE.get(number)
