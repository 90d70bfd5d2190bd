"""The settings of the order service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from event_trio import setting_types as types
from event_trio.broker.aws import LONGEST_WAIT_SECONDS
from event_trio.consumer.settings import ConsumerSettings
from event_trio.migrate import MigrationSettings
from event_trio.outbox.settings import PublisherSettings


class OrderSettings(ConsumerSettings, PublisherSettings):
    """What the order service needs to know."""

    http_port: int = Field(8000, ge=0, le=65535, description="The port that the service listens on.")
    consuming: bool = Field(
        True, description="Whether this process also reads its queue; without, it only serves its API."
    )
    queue_wait_seconds: int = Field(
        5, ge=0, le=LONGEST_WAIT_SECONDS, description="How long a receive waits for messages; below DRAIN_SECONDS."
    )
    compensation: Literal["hold", "cancel"] = Field(
        "hold", description="What becomes of an order whose customer cannot be told that it was placed."
    )
    zero_payload_events: str = Field(
        "", description="Types of events, parted by commas, that carry no payload but say where it can be read."
    )
    public_url: types.HttpUrl | None = Field(None, description="Where subscribers find this service; for payloads.")
    database_pool_size: int = Field(
        5,
        ge=1,
        le=100,
        description="Database connections kept for the API, twice as many at peaks; the consumer has its own, by "
        "CONCURRENCY.",
    )
    notification_url: types.HttpUrl | None = Field(
        None,
        description="Where callers find the notification service, for links in an order's events; no links if unset.",
    )


class OrderMigrationSettings(MigrationSettings):
    """What migrating the orders database needs to know."""

    order_api_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `order_api`, if any."
    )
    order_relay_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `order_relay`, if any."
    )
