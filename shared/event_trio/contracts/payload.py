"""The base class of event payloads, and what each event declares about itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

PERSONAL: Final = "x-personal-data"
PERSONAL_DATA: Final[dict[str, Any]] = {PERSONAL: True}
"""`json_schema_extra` of a field with personal data, which must not be in logs, metrics or message attributes."""


class PayloadMode(StrEnum):
    """Where subscribers find the payload of an event."""

    DATA = "data"
    """In the event, as `data`."""
    DATA_OR_DATAREF = "data-or-dataref"
    """In the event, or at the URL `dataref`, as a setting of the publisher says."""


class EventPayload(BaseModel):
    """The `data` of an event.

    Unknown fields are ignored, so that a publisher may add fields without a new major version. The docstring of an
    event is its description, and the examples of its fields make up its example.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    version: ClassVar[int] = 1
    """The major version. Models of two versions of a type exist beside each other while events of both do."""
    owner: ClassVar[str] = ""
    """The service that publishes the event; empty for an event that is in no catalog."""
    payload_mode: ClassVar[PayloadMode] = PayloadMode.DATA
    deprecated: ClassVar[bool] = False
    """Whether this version is published no longer, so that a later release may remove it."""
