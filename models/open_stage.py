"""A split of a dataset of the kind that is asked for, wherever it lies."""

from pathlib import Path

from models.runs import RunError
from shards import open_dataset
from shards.committed import stage_folder
from shards.dataset import TripletDataset, WindowDataset

STAGES = ("triplets", "windows")
"""Stages of a build that one can train on."""


def open_stage(path: str | Path, stage: str | None, split: str) -> TripletDataset | WindowDataset:
    """Return a split of what a build wrote in a stage, of the stage's folder, or of one dataset in it.

    Args:
        path: of the build, the stage or the dataset.
        stage: one of `STAGES`; None takes the one there is.
        split: `train`, `val` or `test`.

    Raises:
        RunError: it is a build with another stage, or with both where one is to be taken.
        DatasetError: nothing was committed there, it cannot be read, or it has no such split.
    """
    built = {name: folder for name in STAGES if (folder := stage_folder(path, name)) != path}
    if stage is None and len(built) > 1:
        raise RunError(f"{path}: holds {' and '.join(built)}; give {' or '.join(map(str, built.values()))}")
    if stage is not None and built and stage not in built:
        raise RunError(f"{path}: holds no {stage}, only {' and '.join(built)}; build them, or give another dataset")
    folder = built.get(stage, path) if stage else next(iter(built.values()), path)
    return open_dataset(folder, split)
