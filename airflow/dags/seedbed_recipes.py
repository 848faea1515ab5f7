"""The recipes that become DAGs, and what their DAGs have in common.

Every `NAME.yaml` of the folder is one; beside it may stand `NAME.dag.yaml` with what a recipe does not know:

    schedule: "0 3 * * 1"                       # cron or @daily; "@weekly" where nothing is said, null for by hand only
    timeout_h: {crawl: 48}                      # hours for a stage or a training; 24 where nothing is said
    retries: 0                                  # of a stage or a training, five minutes later; 2 where nothing is said
    train: {denoiser: ["--seconds", "3600"]}    # arguments of the trainings

A recipe is judged by the command, which says what is wrong with it: here are only the names of its sections read.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.sdk import DAG, Asset, Variable

MODELS = {"triplets": "denoiser", "windows": "language"}
"""The model that learns from each kind of data set."""

NEEDS = {
    "crawl": (),
    "images": ("crawl",),
    "score": ("images",),
    "text": ("crawl",),
    "triplets": ("score", "images"),
    "windows": ("text",),
}
"""Each stage, in order, and what it reads: the first of these that the recipe has."""

START = datetime(2026, 1, 1, tzinfo=UTC)
_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "schedule": lambda said: isinstance(said, str | None),
    "timeout_h": lambda said: _is_dict_of(lambda hours: type(hours) in (int, float) and hours > 0, said),
    "retries": lambda said: isinstance(said, int),
    "train": lambda said: _is_dict_of(lambda arguments: isinstance(arguments, list), said),
}
"""What may stand beside a recipe, and what of it can be used."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class ScheduledRecipe:
    """A recipe, as far as its DAGs know it.

    Attributes:
        path: of its YAML file.
        stages: in order.
        schedule: of its builds.
        timeout_h: hours, by stage and by model.
        retries: of a stage or a training that failed; never of a recipe that cannot be used.
        train: arguments of a training, by model.
    """

    path: Path
    stages: tuple[str, ...]
    schedule: str | None = "@weekly"
    timeout_h: dict[str, float] = field(default_factory=dict)
    retries: int = 2
    train: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its DAGs are called by."""
        return self.path.stem

    @property
    def datasets(self) -> list[str]:
        """The stages that write data sets to learn from."""
        return [stage for stage in self.stages if stage in MODELS]

    def timeout(self, what: str) -> timedelta:
        """How long a stage or a training may take."""
        return timedelta(hours=self.timeout_h.get(what, 24))

    @property
    def retrying(self) -> dict[str, Any]:
        """How its tasks are tried again."""
        return {"retries": self.retries, "retry_delay": timedelta(minutes=5)}

    def asset(self, dataset: str) -> Asset:
        """The Asset of one of its data sets; each event tells its fingerprint, counts and manifest in `extra`."""
        return Asset(name=f"{self.name}_{dataset}", uri=f"x-seedbed://{self.name}/{dataset}")

    def out(self) -> str:
        """The folder or URL of its build; asked by tasks, when they run."""
        return f"{Variable.get('seedbed_builds', default=str(airflow_home() / 'builds')).rstrip('/')}/{self.name}"

    def runs(self) -> str:
        """The folder of its trainings, which is one of this machine."""
        out = self.out()
        return str(airflow_home() / "runs" / self.name) if "://" in out else f"{out}/runs"


def airflow_home() -> Path:
    """Where builds lie unless a Variable says otherwise."""
    return Path(os.environ.get("AIRFLOW_HOME", Path.home() / "airflow")).resolve()


def read_recipes() -> list[ScheduledRecipe]:
    """The recipes that can become DAGs; `read_faults` says why others cannot."""
    return [recipe for recipe in map(_read_recipe, _paths()) if isinstance(recipe, ScheduledRecipe)]


def read_faults() -> list[str]:
    """Why recipes become no DAGs, a line for each."""
    return [fault for fault in map(_read_recipe, _paths()) if isinstance(fault, str)]


def _paths() -> list[Path]:
    """The recipes of the folder that SEEDBED_RECIPES names, `airflow/recipes` where it names none."""
    folder = Path(os.environ.get("SEEDBED_RECIPES", Path(__file__).resolve().parents[1] / "recipes"))
    return [path for path in sorted(folder.glob("*.yaml")) if not path.name.endswith(".dag.yaml")]


def _read_recipe(path: Path) -> ScheduledRecipe | str:
    """A recipe with what stands beside it, or what is wrong with that: one of them takes no DAG from the others."""
    if not re.fullmatch("[A-Za-z0-9._-]+", path.stem):
        return f"{path}: a DAG is named after it: letters, digits, '.', '_' and '-' alone"
    beside = path.with_suffix(".dag.yaml")
    try:
        settings = (yaml.load(beside.read_text("utf-8"), _LOADER) or {}) if beside.exists() else {}
        recipe = ScheduledRecipe(path.resolve(), _stages(path), **_checked(settings))
        DAG("check", schedule=recipe.schedule).validate()
    except Exception as error:  # noqa: BLE001 - a schedule is judged by Airflow, which raises what it likes
        return f"{beside}: {error}".replace("\n", " ")
    return recipe


def _checked(settings: Any) -> dict[str, Any]:  # noqa: ANN401 - what somebody wrote
    if not isinstance(settings, dict) or settings.keys() - _SETTINGS:
        raise ValueError(f"may say {', '.join(_SETTINGS)}, and nothing else")
    for name, can_be_used in _SETTINGS.items():
        if name in settings and not can_be_used(settings[name]):
            raise ValueError(f"{name} is {settings[name]!r}; see the head of {Path(__file__).name} for what it may be")
    return settings


def _is_dict_of(can_be_used: Callable[[Any], bool], said: Any) -> bool:  # noqa: ANN401 - what somebody wrote
    """Whether something can be used under each stage or model."""
    return isinstance(said, dict) and all(map(can_be_used, said.values()))


def _stages(path: Path) -> tuple[str, ...]:
    """The stages that a recipe has sections for; of one that is no YAML the crawl, whose log will say so."""
    try:
        recipe: Any = yaml.load(path.read_text("utf-8"), _LOADER)
    except (yaml.YAMLError, UnicodeDecodeError):
        recipe = None
    sections = recipe if isinstance(recipe, dict) else {}
    return tuple(stage for stage in NEEDS if stage == "crawl" or sections.get(stage) is not None)
