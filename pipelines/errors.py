"""What a person can do something about: errors whose message is all that need be shown.

This module imports nothing, so that the command line can name them without loading what raises them.
"""


class SeedbedError(Exception):
    """An error whose message says what, where and what would do."""


class StageError(SeedbedError):
    """A stage cannot do its work."""


class TombstoneError(SeedbedError):
    """`tombstones.jsonl` cannot be read; nothing is built rather than bringing back what was forgotten."""


class RecipeError(SeedbedError, ValueError):
    """The recipe cannot be used; the message has a line a problem."""
