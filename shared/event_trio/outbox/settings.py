"""The settings that a publisher and its relay share."""

from __future__ import annotations

from pydantic import BaseModel, Field

from .limits import DEFAULT_BYTES, LARGEST_BYTES, SMALLEST_BYTES


class PublisherSettings(BaseModel):
    """Settings that must be equal for the writer of an outbox and its relay."""

    message_bytes: int = Field(
        DEFAULT_BYTES,
        ge=SMALLEST_BYTES,
        le=LARGEST_BYTES,
        description="The largest event that is recorded and the largest batch that is sent, attributes included; not "
        "above the topic's `MaximumMessageSize` (`python -m infra.deploy --message-bytes`).",
    )
