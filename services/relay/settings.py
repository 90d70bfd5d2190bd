"""The settings of a relay."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator, model_validator

from event_trio.broker.aws import drain_for
from event_trio.broker.names import BrokerNames
from event_trio.database.url import parse
from event_trio.outbox.settings import PublisherSettings
from event_trio.settings import ServiceSettings, whole_database_url

from .publishing.backlog import NextEventAfter

AWS = "aws"


class OutboxSource(StrEnum):
    """Where a relay learns that there are events to send."""

    TABLE = "table"
    WAL = "wal"


class SlotSettings(BaseModel):
    """Which replication slot, and the role that may read it."""

    wal_database_url: SecretStr | None = Field(
        None,
        description="A URL, of a role with REPLICATION and without a pooler, for the write-ahead log (SOURCE=wal); "
        "DATABASE_URL if unset. DATABASE_PASSWORD applies only to DATABASE_URL.",
    )
    wal_slot: str | None = Field(
        None,
        pattern=r"^[a-z0-9_]{1,63}$",
        description="The replication slot (SOURCE=wal); `outbox_` and the name of the database if unset.",
    )

    @field_validator("wal_database_url")
    @classmethod
    def _can_be_read(cls, value: SecretStr | None) -> SecretStr | None:
        return whole_database_url(value, None) if value else None

    def slot_of(self, database_url: SecretStr) -> str:
        """The name of the slot; by default it is derived from the database, because names are those of the server."""
        database = parse(database_url.get_secret_value()).database
        return self.wal_slot or f"outbox_{re.sub('[^a-z0-9_]', '_', database.lower())}"[:63]


class RelaySettings(ServiceSettings, PublisherSettings, SlotSettings):
    """A relay publishes one outbox to one topic; any number of relays may share an outbox."""

    http_port: int = Field(8002, ge=0, le=65535, description="The port that the service listens on.")
    topic: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$",
        description="The topic of its events, such as `order-events`.",
    )
    broker: str = Field(
        "aws",
        pattern=r"^[A-Za-z_][\w.]*$",
        description="`aws` (SNS and SQS), or the Python module of another broker, which has the function "
        "`open_broker`: `event_trio.broker.jetstream`, `event_trio.broker.rabbitmq`, or your own.",
    )
    broker_url: SecretStr | None = Field(None, description="The URL of that other broker.")
    source: OutboxSource = Field(
        OutboxSource.TABLE,
        description="Where new events are found: by polling the table, or in the write-ahead log, which needs "
        "`event-trio-relay[wal]`, a publication and a replication slot.",
    )
    next_event_after: NextEventAfter = Field(
        NextEventAfter.ACKNOWLEDGED,
        description="When the next event of a group is sent: after the one before is acknowledged, or after it "
        "is confirmed by the publish check.",
    )
    batches_in_flight: int = Field(8, ge=1, le=64, description="Concurrent calls to the broker.")
    poll_idle_seconds: float = Field(
        1.0, ge=0.01, le=300, description="Longest interval between polls of an idle outbox."
    )
    lease_seconds: float = Field(
        15.0,
        ge=1,
        le=300,
        description="How long a relay that died keeps its lanes; the lease is renewed three times as often.",
    )
    call_seconds: float = Field(
        5.0, ge=0.01, le=60, description="Deadline of a call to the broker; at most two thirds of the lease."
    )
    listener_database_url: SecretStr | None = Field(
        None,
        description="A URL for LISTEN that bypasses any transaction-mode pooler; DATABASE_URL if unset. "
        "DATABASE_PASSWORD applies to both.",
    )
    publish_check_wait_seconds: int = Field(
        5, ge=1, le=20, description="How long a receive on the publish check waits for a message; below DRAIN_SECONDS."
    )
    sweep_seconds: float = Field(300.0, ge=0.01, le=3600, description="Interval between searches for lost events.")
    retention_hours: float = Field(
        168.0,
        gt=0,
        le=87_600,
        description="Retention of published events; at least that of the queues' messages.",
    )
    audit_retention_days: float = Field(
        365.0,
        gt=0,
        le=3650,
        description="Retention of the audit and of finished replays.",
    )
    new_broker: Literal["auto", "replay", "report"] = Field(
        "auto",
        description="After the broker was recreated: replay everything, or report it; `auto` is `replay` where "
        "AWS_ENDPOINT_URL is set (LocalStack) and `report` on AWS.",
    )

    @field_validator("listener_database_url")
    @classmethod
    def _is_whole_too(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return whole_database_url(value, info.data.get("database_password")) if value else None

    @model_validator(mode="after")
    def _has_the_url_of_its_broker(self) -> RelaySettings:
        if self.broker != AWS and self.broker_url is None:
            raise ValueError(f"BROKER_URL is required with BROKER={self.broker}")
        return self

    @model_validator(mode="after")
    def _drains_in_time(self) -> RelaySettings:
        least = drain_for(self.publish_check_wait_seconds)
        if self.drain_seconds < least:
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be above PUBLISH_CHECK_WAIT_SECONDS "
                f"({self.publish_check_wait_seconds}), and at least {least:g}, so that the last receive can finish"
            )
        if self.drain_seconds < self.call_seconds:
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be at least CALL_SECONDS ({self.call_seconds:g}), "
                "so that the relay learns the outcome of every call"
            )
        return self

    @property
    def slot(self) -> str:
        """The replication slot of the outbox."""
        return self.slot_of(self.database_url)

    @property
    def replays_by_itself(self) -> bool:
        """Whether everything is replayed automatically to a recreated broker."""
        local = self.broker == AWS and self.aws_endpoint_url is not None
        return self.new_broker == "replay" or (self.new_broker == "auto" and local)

    @property
    def topic_name(self) -> str:
        """The name of the topic in its broker."""
        return self.names.topic(self.topic) if self.broker == AWS else f"{self.topology_prefix}{self.topic}"

    @property
    def names(self) -> BrokerNames:
        """The names in SNS and SQS."""
        return BrokerNames(self.topology_prefix)
