"""The settings of a service that consumes a queue."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field, field_validator, model_validator

from .. import setting_types as types
from ..broker.aws import LONGEST_WAIT_SECONDS, drain_for
from ..settings import ServiceSettings
from ..urls import http_url
from .options import ConsumerOptions
from .pipeline.pipeline import MARGIN_HOURS
from .policies import FailurePolicy
from .policy_settings import parse_policies

S = TypeVar("S", bound="ConsumerSettings")


class ConsumerSettings(ServiceSettings):
    """The settings of a consumer, beside those of every service."""

    queue_wait_seconds: int = Field(
        20,
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        description="Seconds that a receive waits for messages; less than DRAIN_SECONDS.",
    )
    visibility_seconds: int = Field(
        60,
        ge=4,
        le=43_200,
        description="Seconds that a message stays invisible after its receipt and after each heartbeat.",
    )
    concurrency: int = Field(16, ge=1, le=1000, description="Message groups whose events are handled at the same time.")
    failure_policies: str = Field(
        "",
        description="Policies for events whose handler fails, in place of those declared with the handlers: "
        "`<type>: <policy>; ...`, with the policies `ignore`, `dead_letter(rest=pass|wait)`, `publish_failure` and "
        "`retry(attempts=5, delay=1, unit=seconds|minutes|hours, backoff=2, rest=wait|pass) then <one of the others>`.",
    )
    inbox_retention_days: float = Field(
        45.0,
        gt=MARGIN_HOURS / 24,
        le=3650,
        description="Days that the inbox records which events were processed; at least the retention of outbox, queue "
        "and dead-letter queue together.",
    )
    outbox_retention_days: float = Field(
        14.0,
        gt=0,
        le=3650,
        description="Days for which the publishers of the consumed events can publish an event again.",
    )
    payload_origins: str = Field(
        "",
        description="Addresses, separated by commas, at which publishers serve the payloads of events that carry none.",
    )
    payload_token: types.HeaderSecret | None = Field(
        None, description="Bearer token for reading payloads, if the publishers require one."
    )

    @field_validator("failure_policies")
    @classmethod
    def _are_policies(cls, value: str) -> str:
        parse_policies(value)
        return value

    @field_validator("payload_origins")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for origin in parts(value):
            try:
                http_url(origin)
            except ValueError as error:
                raise ValueError(f"{origin!r} {error}") from None
        return value

    @property
    def policies(self) -> dict[str, FailurePolicy]:
        """The policies of `failure_policies`, by event type."""
        return parse_policies(self.failure_policies)

    @property
    def origins(self) -> tuple[str, ...]:
        """The addresses of `payload_origins`."""
        return parts(self.payload_origins)

    @property
    def options(self) -> ConsumerOptions:
        """These settings as a consumer takes them."""
        return ConsumerOptions(
            concurrency=self.concurrency,
            queue_wait_seconds=self.queue_wait_seconds,
            visibility_seconds=self.visibility_seconds,
            drain_seconds=self.drain_seconds,
            inbox_retention_days=self.inbox_retention_days,
            outbox_retention_days=self.outbox_retention_days,
            payload_origins=self.origins,
            payload_token=self.payload_token.get_secret_value() if self.payload_token else None,
        )

    @model_validator(mode="after")
    def _drains_after_the_last_receive(self: S) -> S:
        least = drain_for(self.queue_wait_seconds)
        if self.drain_seconds < least and getattr(self, "consuming", True):
            raise ValueError(
                f"DRAIN_SECONDS ({self.drain_seconds:g}) must be above QUEUE_WAIT_SECONDS ({self.queue_wait_seconds}), "
                f"and at least {least:g}, so that the last receive can end"
            )
        return self


def parts(text: str) -> tuple[str, ...]:
    """The parts of a list that is separated by commas."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))
