"""One fate for every record: kept, rejected for a reason, or failed for a reason (law 4)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self


class Reject(NamedTuple):
    """A record that goes no further, as it stands in a `rejects-*.parquet`."""

    key: str
    """The record's URL, or its key where it has no URL."""
    fate: str
    """`rejected`: we do not want it; `failed`: we could not have it."""
    reason: str
    """A snake_case fact, such as `too_few_words`."""
    detail: str
    """What was measured, or which record it is a copy of."""


@dataclass
class Fates:
    """How many records met which fate."""

    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Records counted, whatever their fate."""
        return self.kept + self.rejected.total() + self.failed.total()

    def add(self, fate: str, reason: str = "") -> None:
        """Counts one record."""
        if fate == "kept":
            self.kept += 1
        else:
            {"rejected": self.rejected, "failed": self.failed}[fate][reason] += 1

    def add_all(self, others: Iterable[Self]) -> Self:
        """These counts with `others` added in; returns itself."""
        for other in others:
            self.kept += other.kept
            self.rejected += other.rejected
            self.failed += other.failed
        return self

    def to_json(self) -> dict[str, Any]:
        """The counts as they stand in a receipt or manifest."""
        return {
            "kept": self.kept,
            "rejected": dict(sorted(self.rejected.items())),
            "failed": dict(sorted(self.failed.items())),
        }

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> Self:
        """The counts that `to_json` wrote."""
        return cls(counts["kept"], Counter(counts["rejected"]), Counter(counts["failed"]))

    @classmethod
    def of(cls, rejects: Iterable[Reject], kept: int = 0) -> Self:
        """The counts of `rejects` and of `kept` records that were kept."""
        fates = cls(kept)
        for reject in rejects:
            fates.add(reject.fate, reject.reason)
        return fates
