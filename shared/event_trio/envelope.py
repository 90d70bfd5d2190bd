"""The envelope of an event on the wire: CloudEvents 1.0, structured JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import uuid_utils.compat
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, ValidationError, model_validator

from .errors import MalformedEnvelope

SEQUENCE_DIGITS = 20

Sequence = Annotated[str, StringConstraints(pattern=rf"^[0-9]{{{SEQUENCE_DIGITS}}}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(_rfc3339, when_used="json")]


def uuid7() -> UUID:
    """A new UUIDv7 (RFC 9562): unique without coordination, and ordered by time."""
    return uuid_utils.compat.uuid7()


def sequence_text(number: int) -> str:
    """A sequence number in the form of the envelope: 20 digits, so that the text sorts like the number."""
    return f"{number:0{SEQUENCE_DIGITS}d}"


class Envelope(BaseModel):
    """One event. Field names are CloudEvents attributes and official extensions, hence no underscores.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and its `extensions/` (partitioning,
    sequence, correlation, distributed-tracing, dataref).
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: Literal["1.0"] = "1.0"
    id: UUID = Field(description="The key of the outbox, of the broker's deduplication and of the inbox.")
    source: Text = Field(description="The publisher: `/services/order`.")
    type: Text = Field(description="What happened: `order.placed`.")
    subject: Text = Field(description="The id of the aggregate that the event is about.")
    time: Moment = Field(description="When it happened.")
    dataschema: Text = Field(description="URL of the JSON Schema of `data`; it ends with the major version.")
    datacontenttype: Literal["application/json"] = "application/json"
    partitionkey: Text = Field(description="The message group.")
    sequence: Sequence = Field(description="The position of the event among those of its source and subject.")
    correlationid: Text = Field(description="The business transaction that the event belongs to.")
    causationid: Text | None = Field(None, description="The id of the event that caused this one.")
    traceparent: Text | None = Field(None, description="The trace in which the event was recorded (W3C Trace Context).")
    data: dict[str, Any] | None = None
    dataref: Text | None = Field(None, description="The URL of the payload, when the event does not contain it.")

    @model_validator(mode="after")
    def _carries_or_refers(self) -> Envelope:
        if self.data is None and self.dataref is None:
            raise ValueError("an event has data or dataref")
        if self.time.tzinfo is None:
            raise ValueError("time must have a time zone")
        return self

    @property
    def sequence_number(self) -> int:
        """The sequence as a number."""
        return int(self.sequence)

    @property
    def major_version(self) -> int:
        """The major version of the payload, from the end of `dataschema`; 1 if there is none."""
        found = re.search(r"/v?(\d+)$", self.dataschema)
        return int(found[1]) if found else 1

    def to_bytes(self) -> bytes:
        """The structured JSON form, as it is stored in the outbox and sent."""
        absent = {name for name in ("causationid", "traceparent", "data", "dataref") if getattr(self, name) is None}
        return self.model_dump_json(exclude=absent).encode()

    @classmethod
    def parse(cls, body: bytes | str) -> Envelope:
        """Parse an envelope; raises MalformedEnvelope, which names the invalid attributes but not their values."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False, include_context=False)
            )
            raise MalformedEnvelope(f"not an event envelope: {problems}") from None
