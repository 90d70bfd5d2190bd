"""The settings of the console."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from event_trio import setting_types as types
from event_trio.settings import ProcessSettings
from event_trio.urls import is_loopback, resource_url

from .api_clients.processes import ApiProcess, parse

LOCAL = (
    "order=http://127.0.0.1:8000,order-relay=http://127.0.0.1:8002,"
    "notification=http://127.0.0.1:8001,notification-relay=http://127.0.0.1:8003"
)


class ConsoleSettings(ProcessSettings):
    """The console calls the HTTP APIs of services and relays with the token of the person who signed in."""

    http_port: int = Field(8010, ge=0, le=65535, description="The port that the service listens on.")
    rate_limit_per_minute: int = Field(
        1200,
        ge=0,
        le=1_000_000,
        description="Pages and parts of pages per minute that each person may request; 0 disables the limit.",
    )
    event_trio_services: str = Field(
        LOCAL,
        description="The services and relays as comma-separated `name=address`; a relay has the name of its publisher "
        "with the suffix `-relay`.",
    )
    public_url: types.HttpUrl | None = Field(
        None,
        description="The URL under which browsers reach the console. Requests for other hosts are rejected. `http://` "
        "is allowed for this machine only; cookies are then sent without encryption.",
    )
    call_seconds: float = Field(2.0, ge=0.05, le=30, description="Deadline of a read of a service.")
    change_seconds: float = Field(20.0, ge=0.05, le=120, description="Deadline of a change at a service.")
    refresh_seconds: float = Field(5.0, ge=2, le=300, description="How often an open page reads the services again.")
    starting_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="For so long after the start of a process, what it lacks is shown as passing, not as stuck.",
    )
    session_hours: float = Field(8.0, gt=0, le=168, description="The longest time until a person signs in again.")
    session_idle_minutes: float = Field(
        60.0, gt=0, le=10_080, description="A session ends after so many minutes without a request."
    )
    trace_url: str | None = Field(
        None,
        description="The address of a trace, such as `http://127.0.0.1:16686/trace/{trace_id}`; without it, trace ids "
        "are shown without a link.",
    )

    @field_validator("event_trio_services")
    @classmethod
    def _has_processes(cls, value: str) -> str:
        parse(value)
        return value

    @field_validator("trace_url")
    @classmethod
    def _names_the_trace(cls, value: str | None) -> str | None:
        if value is not None:
            if "{trace_id}" not in value:
                raise ValueError("must contain {trace_id}")
            resource_url(value.replace("{trace_id}", "0"))
        return value

    @model_validator(mode="after")
    def _is_encrypted(self) -> ConsoleSettings:
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                raise ValueError("PUBLIC_URL must begin with https://: tokens and cookies would be readable on the way")
            if parts.path.strip("/"):
                raise ValueError("PUBLIC_URL must have no path: the console is served at the root of its host")
        return self

    @property
    def processes(self) -> tuple[ApiProcess, ...]:
        """The services and relays."""
        return parse(self.event_trio_services)

    @property
    def cookies_are_secure(self) -> bool:
        """Whether browsers may send the cookies over encrypted connections only."""
        return self.auth_jwks is not None and not (self.public_url or "").startswith("http://")
