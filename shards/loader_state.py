"""Where a loader stands, as JSON values: less than 1 kB, checked before it is believed."""

from collections.abc import Mapping
from typing import Any

from shards.json_values import members, whole
from shards.store import DatasetError

State = dict[str, Any]

MAX_POSITION = 2**62 - 1
"""Of a stream: numbers around it still fit into 64 bits."""


def checked_position(state: object, own: Mapping[str, Any]) -> int:
    """Return the position in a state that was taken from a loader like this one; where it stands may differ.

    Args:
        state: Whatever was kept.
        own: The state of the loader that is to go on.

    Raises:
        ValueError: It is no state of a loader; the message names the value.
        DatasetError: It is that of another loader, or of another version of this program.
    """
    found = members(state, "the loader's state")
    is_other_version = "version" in found and not _is_same(found["version"], own["version"])
    if not is_other_version:
        members(found, "the loader's state", frozenset(own))
    for name in ("version",) if is_other_version else own.keys() - {"epoch", "position"}:
        if not _is_same(found[name], own[name]):
            raise DatasetError(
                f"the loader's state has {name} {found[name]!r}, this loader {own[name]!r}: "
                "resume with the dataset and settings it was taken with"
            )
    return whole(found["position"], "the loader's state: position", 0, MAX_POSITION)


def check_epoch(state: Mapping[str, Any], position: int, num_samples: int) -> None:
    """Check that a state's epoch is the one that its position lies in.

    Raises:
        ValueError: It is not.
    """
    epoch = whole(state["epoch"], "the loader's state: epoch", 0, MAX_POSITION)
    if epoch != position // num_samples:
        raise ValueError(
            f"the loader's state: epoch is {epoch}, but position {position} of epochs of {num_samples} samples lies in "
            f"epoch {position // num_samples}"
        )


def _is_same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
