"""What all sections of a recipe have in common."""

import dataclasses
from typing import Annotated, Any, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model, model_validator

MAX_BUCKETS = 65_536
"""Key buckets that files are written from, at most."""

Buckets = Annotated[int, Field(ge=1, le=MAX_BUCKETS)]

MEBIBYTE = 1 << 20

TRANSPORT: dict[str, JsonValue] = {"fingerprint": False}
"""Marks a field that says how something is fetched, not what: it never makes a stage out of date.

Without it a shorter delay or a new contact address would ask every site for everything again.
"""


class Section(BaseModel):
    """A part of the recipe: unknown keys are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def configuration(self) -> dict[str, Any]:
        """The values that decide what comes out, as plain JSON values: what a fingerprint is made from."""
        how = {n for n, f in type(self).model_fields.items() if isinstance(f.json_schema_extra, dict)}
        return self.model_dump(mode="json", exclude=how)


def section_of(settings: type[Any], module: str) -> type[Section]:
    """The section of a recipe that holds what a frozen dataclass holds, under the same names, defaults and limits.

    The thresholds of a rule so stand in one place, beside the rule and its source. It is called as the dataclass, with
    `Config` behind it; `module` must hold it under that name, for it to cross into other processes.
    """

    class Checked(Section):
        @model_validator(mode="after")
        def _limits_hold(self) -> Self:
            settings(**self.model_dump())
            return self

    hints = get_type_hints(settings)
    values: dict[str, Any] = {each.name: (hints[each.name], _default(each)) for each in dataclasses.fields(settings)}
    return create_model(f"{settings.__name__}Config", __base__=Checked, __module__=module, **values)


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - of any type
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
