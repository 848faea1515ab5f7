"""What all sections of a recipe have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

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
