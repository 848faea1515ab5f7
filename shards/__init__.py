"""The example formats, and everything about the shards that hold them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shards.dataset import open_dataset

__all__ = ["open_dataset"]


def __getattr__(name: str) -> object:
    """Import `open_dataset` when it is asked for, so that `import shards` costs nothing."""
    if name == "open_dataset":
        from shards.dataset import open_dataset  # noqa: PLC0415 - lazy on purpose

        return open_dataset
    raise AttributeError(f"module 'shards' has no attribute {name!r}")
