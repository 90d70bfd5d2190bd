"""The settings of the notification service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from event_trio import setting_types as types
from event_trio.consumer.settings import ConsumerSettings
from event_trio.mailbox import MailAddress
from event_trio.migrate import MigrationSettings
from event_trio.outbox.settings import OutboxSettings


class NotificationSettings(ConsumerSettings, OutboxSettings):
    """What the notification service needs to know."""

    http_port: int = Field(8001, ge=0, le=65535, description="The port that the service listens on.")
    database_pool_size: int = Field(
        5,
        ge=1,
        le=100,
        description="Database connections kept for the API; up to twice as many at peaks. The consumer has separate "
        "connections, according to CONCURRENCY.",
    )
    drain_seconds: float = Field(
        25.0,
        ge=0.01,
        le=300,
        description="How long a stopping service may take to finish its work; longer than QUEUE_WAIT_SECONDS.",
    )
    sender: Literal["log", "smtp"] = Field("log", description="How customers are notified; `log` sends nothing.")
    smtp_host: types.Host | None = Field(None, description="The host of the mail server; required with SENDER=smtp.")
    smtp_port: int = Field(587, ge=1, le=65535, description="The port of the mail server.")
    smtp_from: MailAddress | None = Field(None, description="The sender address of mails; required with SENDER=smtp.")
    smtp_security: Literal["none", "starttls", "tls"] = Field("starttls", description="How the connection is secured.")
    smtp_username: str | None = Field(
        None, description="The user name for the mail server, if it requires authentication."
    )
    smtp_password: SecretStr | None = Field(None, description="The password for the mail server.")

    @model_validator(mode="after")
    def _is_consistent(self) -> NotificationSettings:
        if self.sender == "smtp" and not (self.smtp_host and self.smtp_from):
            raise ValueError("SENDER is smtp, so SMTP_HOST and SMTP_FROM must be set")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("set both SMTP_USERNAME and SMTP_PASSWORD, or neither")
        return self


class NotificationMigrationSettings(MigrationSettings):
    """What migrating the notifications database needs to know."""

    notification_api_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `notification_api`, if any."
    )
    notification_relay_password: types.RolePassword | None = Field(
        None, description="Password to set for the role `notification_relay`, if any."
    )
