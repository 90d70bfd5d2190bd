"""The settings of the notification service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.aws import LONGEST_WAIT_SECONDS
from shared.consumer.policies import IN_PLACE_SECONDS
from shared.settings import ServiceSettings


class NotificationSettings(ServiceSettings):
    """What the notification service needs to know."""

    http_port: int = Field(8001, ge=0, le=65535, description="The port that the service listens on.")
    database_pool_size: int = Field(10, ge=1, le=100, description="Database connections kept; twice as many at peaks.")
    drain_seconds: float = Field(
        25.0,
        gt=0,
        le=300,
        description="How long a stopping service may finish what it began; above QUEUE_WAIT_SECONDS.",
    )
    queue_wait_seconds: int = Field(
        20, ge=0, le=LONGEST_WAIT_SECONDS, description="How long a receive waits for messages."
    )
    visibility_seconds: int = Field(
        60,
        ge=4,
        le=43_200,
        description="How long a message stays invisible after its receipt, and after each heartbeat.",
    )
    concurrency: int = Field(16, ge=1, le=1000, description="Orders whose events are handled at the same time.")
    retry_seconds: float = Field(
        IN_PLACE_SECONDS, gt=0, le=IN_PLACE_SECONDS, description="How long a failing event is retried in place."
    )
    sender: Literal["log", "smtp"] = Field("log", description="How customers are notified; `log` only says so.")
    smtp_host: str | None = Field(None, description="The mail server; needed with SENDER=smtp.")
    smtp_port: int = Field(587, ge=1, le=65535, description="The mail server's port.")
    smtp_from: str | None = Field(None, description="The address that mails come from; needed with SENDER=smtp.")
    smtp_security: Literal["none", "starttls", "tls"] = Field("starttls", description="How the connection is secured.")
    smtp_username: str | None = Field(None, description="The user at the mail server, if it wants one.")
    smtp_password: SecretStr | None = Field(None, description="The user's password.")

    @model_validator(mode="after")
    def _goes_together(self) -> NotificationSettings:
        if self.sender == "smtp" and not (self.smtp_host and self.smtp_from):
            raise ValueError("SENDER is smtp, so SMTP_HOST and SMTP_FROM must be set")
        if self.drain_seconds <= self.queue_wait_seconds:
            # A receive that is cut off still takes messages, which then stay invisible.
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be above QUEUE_WAIT_SECONDS ({self.queue_wait_seconds}), "
                "so that the last receive can end"
            )
        return self


class NotificationMigrationSettings(BaseSettings):
    """What migrating the notifications database needs to know."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    migration_database_url: SecretStr = Field(
        description="`postgresql://` URL of the role that owns the notifications database and may create roles."
    )
    notification_api_password: SecretStr | None = Field(
        None, description="Password to give to the role `notification_api`, if any."
    )
    notification_relay_password: SecretStr | None = Field(
        None, description="Password to give to the role `notification_relay`, if any."
    )
