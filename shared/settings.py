"""Settings that every service has, read from the environment and checked before anything starts."""

from __future__ import annotations

import ipaddress
import sys
from difflib import get_close_matches
from typing import Literal, NoReturn, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import ConfigurationError


class ServiceSettings(BaseSettings):
    """What a service needs to know, whichever service it is. Each field is an environment variable in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    environment: Literal["production", "local"] = Field(
        "production", description="`local` allows a service without authentication on any address."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="How a log line looks; `auto` is `console` on a terminal and `json` elsewhere."
    )
    http_host: str = Field("127.0.0.1", description="The address that the service listens on.")
    http_port: int = Field(8000, ge=0, le=65535, description="The port that the service listens on.")
    database_url: SecretStr = Field(
        description="`postgresql://role:password@host:port/database` of the service's own role."
    )
    aws_region: str = Field("us-east-1", description="The region of topics and queues.")
    aws_endpoint_url: str | None = Field(None, description="The address of LocalStack; unset on AWS.")
    topology_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9-]{0,30}$", description="Put before the names of topics, queues and stacks."
    )
    auth_jwks: str | None = Field(None, description="Path or URL of the key set that bearer tokens are checked with.")
    auth_issuer: str | None = Field(None, description="The issuer that tokens must name; needed with `AUTH_JWKS`.")
    auth_audience: str | None = Field(None, description="The audience that tokens must name; needed with `AUTH_JWKS`.")
    rate_limit_per_minute: int = Field(
        0, ge=0, le=1_000_000, description="Requests a minute that each caller may make of one process; 0 is no limit."
    )
    idempotency_hours: float = Field(
        24.0, gt=0, le=8760, description="How long an answer is kept under the `Idempotency-Key` of its request."
    )
    cloudwatch_metrics: bool = Field(
        False,
        description="Whether a publisher logs the figures of its outbox once a minute so that CloudWatch Logs makes "
        "metrics of them (needs `LOG_FORMAT=json`); the alarms `no-relay` and `events-wait` read these.",
    )
    drain_seconds: float = Field(
        10.0, gt=0, le=300, description="How long a stopping service may finish what it began."
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.http_host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.http_host).is_loopback
        except ValueError:
            return False


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read the settings, or leave with status 2 and a sentence for each one that is missing or wrong."""
    try:
        return settings()
    except ValidationError as error:
        fail(explain(settings, error))


def explain(settings: type[BaseSettings], error: ValidationError) -> str:
    """One line for each setting that is missing or wrong, by the name of its environment variable."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in problem["loc"]).upper() or "settings"
        if problem["type"] == "missing":
            field = settings.model_fields.get(str(problem["loc"][0]))
            lines.append(f"{name} is not set. It is: {field.description if field else 'required'}")
        else:
            lines.append(f"{name} is wrong: {problem['msg']}")
    return "\n".join(lines)


def suggest(name: str, known: list[str]) -> str:
    """A 'did you mean' for a misspelt name, or the names that there are."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def fail(message: str) -> NoReturn:
    """End the process with status 2 and a message on standard error."""
    for line in message.splitlines():
        sys.stderr.write(f"error: {line}\n")
    raise SystemExit(2)


def require_known(name: str, known: list[str], setting: str) -> None:
    """Raise ConfigurationError when a setting names something that does not exist."""
    if name not in known:
        raise ConfigurationError(f"{setting} names {name!r}, which does not exist; {suggest(name, known)}")
