"""A recipe file in, a checked `Recipe` out, or an error a stranger can act on."""

import difflib
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pipelines.errors import RecipeError
from pipelines.recipe import Recipe
from pipelines.source_recipes import Source
from pipelines.yaml_text import YamlError, load_yaml, shown

_SOURCES: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["source"].annotation)[0]: model for model in get_args(get_args(Source)[0])
}
"""The section of each kind of source."""

_MAX_PROBLEMS = 20
"""Problems of a recipe that get a line; of more it is told how many there are."""


def load_recipe(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The checked recipe at `path`, or the bundled one of that name (`site`, `demo`, …), with `a.b=value` overrides.

    Raises:
        RecipeError: the file cannot be read, is not YAML, or breaks a rule of the recipe.
    """
    name, text = _read(Path(path))
    try:
        data = load_yaml(text)
    except YamlError as error:
        raise RecipeError(f"{name}: not YAML: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{name}: a recipe is a YAML mapping (name: …, crawl: …), this is {type(data).__name__}")
    for override in overrides:
        _override(data, override)
    return check_recipe(data, name)


def check_recipe(data: dict[str, Any], name: str) -> Recipe:
    """The recipe in `data`, as read from the file called `name`.

    Raises:
        RecipeError: a line for each problem.
    """
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        lines = [f"{name}: {_explain(problem)}" for problem in error.errors(include_url=False)]
        more = [f"{name}: and {len(lines) - _MAX_PROBLEMS} more"] if len(lines) > _MAX_PROBLEMS else []
        raise RecipeError("\n".join([*lines[:_MAX_PROBLEMS], *more])) from error


def bundled_recipes() -> dict[str, str]:
    """The recipes that come with Seedbed, by name."""
    folder = resources.files("pipelines") / "recipes"
    return {Path(f.name).stem: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}


def _read(path: Path) -> tuple[str, str]:
    bundled = bundled_recipes()
    if not path.exists() and path.name.removesuffix(".yaml") in bundled:
        return path.name, bundled[path.name.removesuffix(".yaml")]
    try:
        return str(path), path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        known = ", ".join(sorted(bundled))
        raise RecipeError(f"{path}: cannot be read ({why}); give a YAML file or one of: {known}") from error


def _override(data: dict[str, Any], override: str) -> None:
    """Sets `a.b=value` in `data`; the value is YAML, so that numbers and lists keep their types."""
    dotted, equals, value = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise RecipeError(f"--set {shown(override)}: write it as section.key=value, as in images.size=64")
    *parents, last = dotted.split(".")
    place = data
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise RecipeError(f"--set {shown(override)}: '{parent}' holds a value, not a section")
    try:
        place[last] = load_yaml(value)
    except YamlError as error:
        raise RecipeError(f"--set {shown(override)}: the value is not YAML: {error}") from error


def _explain(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails is a loose TypedDict
    """One line: the place, the value that stands there, and what would do."""
    parts, section = _place(problem["loc"])
    place = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown key; {_known_keys(parts[-1], section)}"
    if problem["type"] == "missing":
        return f"{place}: missing; {_needed_by(problem['loc'])} needs it"
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        named, kinds = shown(repr(problem["input"].get("source"))), ", ".join(sorted(_SOURCES))
        return f"{place}.source: {named} is no kind of source; it may be one of: {kinds}"
    if problem["type"] in ("model_type", "model_attributes_type"):
        return f"{place}: {shown(repr(problem['input']))} will not do: should be a section, as in {place}: {{}}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(problem["input"], dict):
        return f"{place}: {message}" if place else message
    return f"{place}: {shown(repr(problem['input']))} will not do: {message}"


def _place(loc: Sequence[str | int]) -> tuple[list[str], type[BaseModel]]:
    """The keys that lead to a problem, without pydantic's tags of unions, and the section that the last stands in."""
    parts: list[str] = []
    section: type[BaseModel] = Recipe
    kind: Any = Recipe
    for part in map(str, loc):
        if kind is Source:
            kind = _SOURCES[part]  # the tag: no key of the recipe
            continue
        parts.append(part)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section = kind
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
            sections = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, BaseModel)]
            kind = sections[0] if sections else kind
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
    return parts, section


def _known_keys(key: str, section: type[BaseModel]) -> str:
    """The keys that a section has, the likeliest meant one first."""
    close = difflib.get_close_matches(key, section.model_fields, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}it may be one of: {', '.join(section.model_fields)}"


def _needed_by(loc: Sequence[str | int]) -> str:
    """Who needs a key: a kind of source, or every recipe."""
    kinds = [str(part) for part in loc if part in _SOURCES]
    return f"source '{kinds[-1]}'" if loc[0] == "crawl" and kinds else "every recipe"
