"""What a relay needs to know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from event_trio.broker.aws import drain_for
from event_trio.outbox.settings import PublisherSettings
from event_trio.settings import ServiceSettings, whole_database_url

from .publishing.backlog import NextEventAfter


class RelaySettings(ServiceSettings, PublisherSettings):
    """One relay carries one outbox to one topic; any number of relays share an outbox."""

    http_port: int = Field(8002, ge=0, le=65535, description="The port that the service listens on.")
    topic: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$",
        description="The domain whose events it carries, such as `order-events`.",
    )
    next_event_after: NextEventAfter = Field(
        NextEventAfter.ACKNOWLEDGED,
        description="When the next event of a group may go: after the broker's answer or after its return.",
    )
    batches_in_flight: int = Field(8, ge=1, le=64, description="Calls to the broker at the same time.")
    poll_idle_seconds: float = Field(1.0, ge=0.01, le=300, description="Between two polls of an idle outbox.")
    lease_seconds: float = Field(
        15.0, ge=1, le=300, description="How long a relay that died keeps its lanes; renewed three times as often."
    )
    call_seconds: float = Field(
        5.0, ge=0.01, le=60, description="Deadline of a call to the broker; two thirds of the lease at the most."
    )
    listener_database_url: SecretStr | None = Field(
        None,
        description="A URL past any transaction-mode pooler, for LISTEN; DATABASE_URL if unset. "
        "DATABASE_PASSWORD is for both.",
    )
    publish_check_wait_seconds: int = Field(
        5, ge=1, le=20, description="How long a receive on the publish check waits for a message; below DRAIN_SECONDS."
    )
    sweep_seconds: float = Field(
        300.0, ge=0.01, le=3600, description="Between searches for events that never came back."
    )
    retention_hours: float = Field(
        168.0,
        gt=0,
        le=87_600,
        description="How long published events are kept; at least as long as the queues keep messages.",
    )
    audit_retention_days: float = Field(
        365.0,
        gt=0,
        le=3650,
        description="How long it is kept who changed what of the outbox, and which replays there were.",
    )
    new_broker: Literal["auto", "replay", "report"] = Field(
        "auto",
        description="When the broker is not the one it was: let everything go again, or say so; `auto` is `replay` "
        "where AWS_ENDPOINT_URL is set (LocalStack) and `report` on AWS.",
    )

    @field_validator("listener_database_url")
    @classmethod
    def _is_whole_too(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return whole_database_url(value, info.data.get("database_password")) if value else None

    @model_validator(mode="after")
    def _drains_in_time(self) -> RelaySettings:
        least = drain_for(self.publish_check_wait_seconds)
        if self.drain_seconds < least:
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be above PUBLISH_CHECK_WAIT_SECONDS "
                f"({self.publish_check_wait_seconds}), and at least {least:g}, so that the last receive can end"
            )
        if self.drain_seconds < self.call_seconds:
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be at least CALL_SECONDS ({self.call_seconds:g}), "
                "so that it is known of every call at the end whether the broker took its events"
            )
        return self

    @property
    def replays_by_itself(self) -> bool:
        """Whether a new broker is given everything again without asking."""
        return self.new_broker == "replay" or (self.new_broker == "auto" and self.aws_endpoint_url is not None)
