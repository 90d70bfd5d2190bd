"""The route that says what a process is: its version, its clock, and the names that it uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from ..clock import Clock
from ..http.authorization import RequireRole
from ..http.tokens import Principal, Role

router = APIRouter(prefix="/v1", tags=["process"])

Person = Annotated[Principal, Depends(RequireRole(Role.READER, Role.OPERATOR))]

DISTRIBUTION = "event-trio"
UNKNOWN = "unknown"


class ProcessView(BaseModel):
    """A process, for a comparison with the others of the system."""

    name: str
    kind: Literal["service", "relay"]
    version: str = Field(description="The version of event-trio.", examples=["0.1.0"])
    started_at: datetime
    time: datetime = Field(description="The time by the clock of the process.")
    topology_prefix: str = Field(description="The prefix of the names of topics and queues.")
    aws_region: str
    aws_endpoint_url: str | None = Field(description="The URL of LocalStack; null on AWS.")
    publishes: str | None = Field(description="The topic of its events.")
    consumes: str | None = Field(description="The topic whose events it consumes.")
    authentication: bool = Field(description="Whether callers need a token.")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What a process knows of itself from its settings."""

    name: str
    kind: Literal["service", "relay"]
    clock: Clock
    started_at: datetime
    topology_prefix: str
    aws_region: str
    aws_endpoint_url: str | None
    publishes: str | None
    consumes: str | None
    authentication: bool


async def _facts(request: Request) -> ProcessFacts:
    return cast(ProcessFacts, request.app.state.process)


ProcessFactsDep = Annotated[ProcessFacts, Depends(_facts)]


@router.get("/process", summary="Read what this process is")
async def read_process(caller: Person, facts: ProcessFactsDep) -> ProcessView:
    """Its version, its clock and its names; no part of it is secret, and nothing is looked up."""
    known = {name: getattr(facts, name) for name in ProcessView.model_fields if hasattr(facts, name)}
    return ProcessView(**known, version=_version(), time=facts.clock.now())


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return UNKNOWN
