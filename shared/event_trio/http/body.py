"""The base of request bodies: JSON types are not converted."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class RequestBody(BaseModel):
    """The base of every request body.

    Unknown fields are errors. By default pydantic converts `0` and `"no"` to false, `"5"` to 5 and `true` to 1, against
    the schema: a request would be understood in a way that its caller did not intend.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


def whole(value: object) -> object:
    """Convert a float without a fraction to an integer.

    Use it as a `BeforeValidator` after a field's bounds, or pydantic writes the bounds into the schema under its own
    names.
    """
    # https://json-schema.org/understanding-json-schema/reference/numeric#integer
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(whole)]
"""A whole number: in JSON `2.0` is one as well, `"2"` and `true` are not."""

Uuid = Annotated[UUID, Field(strict=False)]
"""A UUID, which is a string in JSON."""
