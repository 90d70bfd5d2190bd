"""The settings that a publisher and its relay share."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ..contracts.schema import SCHEMAS_URL
from ..setting_types import HttpUrl
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


class OutboxSettings(PublisherSettings):
    """Settings of a service that records events."""

    public_url: HttpUrl | None = Field(
        None,
        description="The URL of this service for subscribers. `dataschema` of its events begins with it, and `dataref` "
        "of events without data. If unset, `dataschema` is an identifier at which nothing is served.",
    )

    notify_relay: bool = Field(
        True,
        description="Whether the service sends a NOTIFY after commits, so that relays read at once. Relays with "
        "`SOURCE=wal` need it only while they cannot read the log.",
    )

    @property
    def schemas_url(self) -> str:
        """With what `dataschema` begins; the service serves its schemas there if it has a `public_url`."""
        return f"{self.public_url.rstrip('/')}/schemas" if self.public_url else SCHEMAS_URL
