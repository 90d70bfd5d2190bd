"""The settings of the order service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from event_trio import setting_types as types
from event_trio.broker.aws import LONGEST_WAIT_SECONDS
from event_trio.consumer.settings import ConsumerSettings
from event_trio.migrate import MigrationSettings
from event_trio.outbox.settings import OutboxSettings


class OrderSettings(ConsumerSettings, OutboxSettings):
    """What the order service needs to know."""

    http_port: int = Field(8000, ge=0, le=65535, description="The port that the service listens on.")
    consuming: bool = Field(
        True, description="Whether this process also consumes its queue; otherwise it only serves its API."
    )
    queue_wait_seconds: int = Field(
        5,
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="How long a receive waits for messages; below DRAIN_SECONDS.",
    )
    compensation: Literal["hold", "cancel"] = Field(
        "hold", description="What to do with an order whose placement could not be notified to its customer."
    )
    zero_payload_events: str = Field(
        "", description="Event types, separated by commas, that are published without payload, with a URL to read it."
    )
    database_pool_size: int = Field(
        5,
        ge=1,
        le=100,
        description="Database connections kept for the API; up to twice as many at peaks. The consumer has separate "
        "connections, according to CONCURRENCY.",
    )
    notification_url: types.HttpUrl | None = Field(
        None,
        description="The URL of the notification service for links in an order's events; no links if unset.",
    )


class OrderMigrationSettings(MigrationSettings):
    """What migrating the orders database needs to know."""

    order_api_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `order_api`, if any."
    )
    order_relay_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `order_relay`, if any."
    )
