"""Why a page or picture was not kept."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an input that was not kept, and why.

    Attributes:
        fate: `rejected` for what we do not want, `failed` for what we wanted but could not read.
        reason: a snake_case fact, such as `too_few_words`; runs are counted under it.
        detail: what was found and what was asked for, such as `12 < 50`; "" when there is no more to say.
    """

    fate: Literal["rejected", "failed"]
    reason: str
    detail: str = ""
