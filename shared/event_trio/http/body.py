"""Request bodies: their fields have the types of JSON that the schema says, and no others."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class RequestBody(BaseModel):
    """The base of every request body.

    A field that is not known is a mistake of the caller's, and is told. Left to itself pydantic takes `0` and `"no"`
    for false, `"5"` for 5 and `true` for 1, where the schema says otherwise: a caller would be understood in a way
    that it did not mean.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


def whole(value: object) -> object:
    """A float without a fraction as an integer. As a `BeforeValidator` it stands behind a field's bounds, or pydantic
    writes them into the schema under names of its own.
    """
    # https://json-schema.org/understanding-json-schema/reference/numeric#integer
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(whole)]
"""A whole number: in JSON `2.0` is one too, `"2"` and `true` are none."""

Uuid = Annotated[UUID, Field(strict=False)]
"""A UUID, which JSON writes as a string."""
