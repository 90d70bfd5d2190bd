"""The settings that every service has, read from the environment and validated at startup."""

from __future__ import annotations

import ipaddress
import os
import sys
from difflib import get_close_matches
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from . import setting_types as types
from .broker.client_choice import ClientChoice
from .database.url import with_password
from .errors import ConfigurationError

# Variables that libraries read themselves, and that they do not treat as unset when empty.
READ_BY_LIBRARIES = ("AWS_", "OTEL_", "PG", "SSL_CERT_")


class EnvironmentSettings(BaseSettings):
    """Settings of any process: empty and blank values count as unset, and numbers are finite."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        trimmed = {name: _trimmed(name, value) for name, value in values.items()}
        return {name: value for name, value in trimmed.items() if value != ""}


class ProcessSettings(EnvironmentSettings):
    """The settings of every process that serves HTTP. Each field is an environment variable, in capitals."""

    environment: Literal["production", "local"] = Field(
        "production", description="`local` allows a service without authentication on any address."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The lowest level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="The format of log lines; `auto` is `console` on a terminal and `json` elsewhere."
    )
    http_host: types.Host = Field("127.0.0.1", description="The address that the service listens on.")
    http_port: int = Field(8000, ge=0, le=65535, description="The port that the service listens on.")
    auth_jwks: str | None = Field(None, description="Path or URL of the JWK set with which bearer tokens are verified.")
    auth_issuer: str | None = Field(None, description="The required issuer of tokens; needed with `AUTH_JWKS`.")
    auth_audience: str | None = Field(None, description="The required audience of tokens; needed with `AUTH_JWKS`.")
    rate_limit_per_minute: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests per minute that each caller may send to one process; 0 disables the limit.",
    )
    otel_exporter_otlp_endpoint: types.HttpUrl | None = Field(
        None,
        description="Where spans are sent, as OTLP over HTTP: the URL without `/v1/traces`; if unset, nothing is "
        "traced. The SDK's own variables apply too, such as `OTEL_TRACES_SAMPLER`.",
    )
    otel_service_name: str | None = Field(
        None, description="The name of the process in traces; otherwise `order`, `notification` or `relay`."
    )
    trace_processing: Literal["continue", "link"] = Field(
        "continue",
        description="Whether processing an event continues the trace in which it was recorded, or begins a trace that "
        "links to it.",
    )
    drain_seconds: float = Field(
        10.0, ge=0.01, le=300, description="How long a stopping service may take to finish its work."
    )

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.http_host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.http_host).is_loopback
        except ValueError:
            return False


class ServiceSettings(ProcessSettings):
    """The settings of every service. Each field is an environment variable, in capitals."""

    database_password: SecretStr | None = Field(
        None, description="The role's password, not URL-encoded; otherwise DATABASE_URL contains it, URL-encoded."
    )
    database_url: SecretStr = Field(
        description="`postgresql://role:password@host:port/database` of the service's own role. Supported parameters: "
        "`sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `target_session_attrs`, `host`."
    )
    aws_region: types.Region = Field("us-east-1", description="The region of topics and queues.")
    aws_endpoint_url: types.HttpUrl | None = Field(None, description="The URL of LocalStack; unset on AWS.")
    aws_client: ClientChoice = Field(
        "lean",
        description="The client for the calls that carry messages: `lean` costs less CPU; `stock` is the AWS SDK's.",
    )
    topology_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9-]{0,30}$", description="Prefix of the names of topics, queues and stacks."
    )
    idempotency_hours: float = Field(
        24.0, gt=0, le=8760, description="How long the response to a request is stored under its `Idempotency-Key`."
    )
    cloudwatch_metrics: bool = Field(
        False,
        description="Whether a publisher logs the metrics of its outbox once a minute in the embedded metric format of "
        "CloudWatch (requires `LOG_FORMAT=json`); the alarms `no-relay` and `events-wait` use them.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_whole(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        return whole_database_url(value, info.data.get("database_password"))


S = TypeVar("S", bound=BaseSettings)


def whole_database_url(url: SecretStr, password: SecretStr | None) -> SecretStr:
    """The URL with the password that was given separately. Raises ValueError."""
    given = password.get_secret_value() if password else None
    return SecretStr(with_password(url.get_secret_value(), given))


def forget_empty_variables() -> None:
    """Unset empty variables, for libraries as well: the AWS SDK would look for a profile with an empty name."""
    for name, value in list(os.environ.items()):
        if name.startswith(READ_BY_LIBRARIES) and not value.strip():
            del os.environ[name]


def load(settings: type[S]) -> S:
    """Read the settings, or exit with status 2 and a line for each one that is missing or wrong."""
    forget_empty_variables()
    try:
        return settings()
    except ValidationError as error:
        fail(explain(settings, error))


def explain(settings: type[BaseSettings], error: ValidationError) -> str:
    """A line for each setting that is missing or wrong, with the name of its environment variable."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = "_".join(str(part) for part in problem["loc"]).upper() or "settings"
        if problem["type"] == "missing":
            field = settings.model_fields.get(str(problem["loc"][0]))
            lines.append(f"{name} is not set. {field.description if field else 'It is required.'}")
        else:
            lines.append(f"{name} is wrong: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _trimmed(name: str, value: object) -> object:
    """The value without surrounding whitespace; of a password only line ends are removed."""
    if not isinstance(value, str):
        return value
    return value.rstrip("\r\n") if name.lower().endswith("password") else value.strip()


def suggest(name: str, known: list[str]) -> str:
    """A 'did you mean' for a misspelt name, or the known names."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def fail(message: str) -> NoReturn:
    """End the process with status 2 and a message on standard error."""
    for line in message.splitlines():
        sys.stderr.write(f"error: {line}\n")
    raise SystemExit(2)


def require_known(name: str, known: list[str], setting: str) -> None:
    """Raise ConfigurationError when a setting names something unknown."""
    if name not in known:
        raise ConfigurationError(f"{setting} names {name!r}, which does not exist; {suggest(name, known)}")
