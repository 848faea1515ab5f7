"""What a recipe says of scores, and the trained head that gives them."""

import hashlib
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipelines.errors import StageError
from pipelines.section import TRANSPORT, Section

BUNDLED = "bundled"
_HEADS = Path(str(resources.files("pipelines"))) / "heads"


class ScoreConfig(Section):
    """Which clean pictures show what is wanted, by a classifier trained on sorted ones."""

    topic: str = Field("tree", min_length=1, description="what a picture must show")
    model: str = Field(
        BUNDLED,
        description="head.json that 'seedbed train classifier' wrote; bundled: the one that comes with Seedbed",
        json_schema_extra=TRANSPORT,  # what stands in the file decides, not where it lies
    )
    min_score: float = Field(0.5, ge=0, le=1, description="probability of the topic, at least; 0 keeps all")
    require: bool = Field(True, description="false keeps all, unscored, where the extra 'score' is not installed")

    @model_validator(mode="after")
    def _has_a_model(self) -> Self:
        if self.model == BUNDLED and not head_path(self).is_file():
            known = ", ".join(sorted(path.stem for path in _HEADS.glob("*.json")))
            raise ValueError(
                f"no model for topic {self.topic!r} comes with Seedbed, only for: {known}; sort some examples, "
                f"run 'seedbed train classifier FOLDER --topic {self.topic}', and give its head.json as model"
            )
        return self


def head_path(config: ScoreConfig) -> Path:
    """Where the trained head lies."""
    return _HEADS / f"{config.topic}.json" if config.model == BUNDLED else Path(config.model)


def model_identity(config: ScoreConfig) -> dict[str, str]:
    """What tells the head from others: its SHA-256, part of the stage's fingerprint.

    Raises:
        StageError: it cannot be read.
    """
    path = head_path(config)
    try:
        return {"model": hashlib.sha256(path.read_bytes()).hexdigest()}
    except OSError as error:
        told = "give the head.json that 'seedbed train classifier' wrote"
        raise StageError(f"score: score.model {path}: {error.strerror}; {told}") from error
