"""Settings of the process that keeps the topology on LocalStack."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from event_trio import setting_types as types
from event_trio.settings import EnvironmentSettings
from event_trio.urls import is_aws


class TopologySettings(EnvironmentSettings):
    """The topology and its location. Each field is an environment variable in capitals."""

    aws_endpoint_url: types.HttpUrl = Field(description="URL of LocalStack. On AWS use infra.deploy instead.")
    aws_region: types.Region = Field("us-east-1", description="Region of topics and queues.")
    topology_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9-]{0,30}$", description="Prefix of the names of topics, queues and stacks."
    )
    watch_seconds: float = Field(3.0, gt=0, le=60, description="Seconds between two checks.")
    ready_file: Path | None = Field(
        None, description="Touched after each check that finds every resource, removed otherwise."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Format of log lines; `auto` is `console` on a terminal and `json` elsewhere."
    )

    @field_validator("aws_endpoint_url")
    @classmethod
    def _is_not_aws(cls, value: str) -> str:
        if is_aws(value):
            raise ValueError("is AWS, where a repair would delete queues with their messages: use infra.deploy")
        return value
