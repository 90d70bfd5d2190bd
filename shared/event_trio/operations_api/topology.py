"""The route that describes the queues and the subscription of a consumer as they exist in the broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from ..broker.topology import ConsumerTopology
from .parameters import STATE, Reader

router = APIRouter(prefix="/v1", tags=["topology"])


class TopologyPart(BaseModel):
    """A part of a description."""

    model_config = ConfigDict(from_attributes=True)


class QueueView(TopologyPart):
    """A queue as it exists in the broker."""

    name: str
    exists: bool
    problem: str | None = Field(description="Why it could not be read; everything but the name is then unknown.")
    messages: int | None = Field(description="Messages that can be received, approximately.")
    in_flight: int | None = Field(description="Messages that were received and not deleted yet, approximately.")
    retention_seconds: int | None
    high_throughput: bool | None = Field(
        description="Whether throughput and deduplication are of each message group instead of the whole queue."
    )
    dead_letter_queue: str | None
    max_receive_count: int | None
    senders: list[str] = Field(description="The topics that its policy allows to send messages.")


class SubscriptionView(TopologyPart):
    """A subscription of a topic."""

    queue: str
    raw_delivery: bool
    types: list[str] | None = Field(description="The event types that its filter accepts; null without a filter.")
    undelivered_queue: str | None = Field(description="The queue for messages that SNS cannot deliver.")


class TopicView(TopologyPart):
    """A topic as it exists in the broker."""

    name: str
    exists: bool
    problem: str | None = Field(description="Why it, or its subscriptions, could not be read.")
    subscriptions: list[SubscriptionView] | None = Field(description="Null if they could not be read.")


class HandledTypeView(TopologyPart):
    """A type of events that has a handler, and what happens when the handler fails."""

    type: str
    failure_policy: str


class ConsumerTopologyView(BaseModel):
    """The queues and the subscription of a consumer; null where the service consumes nothing."""

    topic: TopicView | None = Field(description="The topic, with the subscription of this consumer only.")
    queue: QueueView | None
    dead_letter_queue: QueueView | None
    undelivered_queue: QueueView | None
    handles: list[HandledTypeView]


ReadTopology: TypeAlias = Callable[[], Awaitable[ConsumerTopology]]


async def _read(request: Request) -> ReadTopology:
    return cast(ReadTopology, request.app.state.read_topology)


ReadTopologyDep = Annotated[ReadTopology, Depends(_read)]


@router.get("/topology", summary="Describe the consumer's queues and subscription", responses=STATE)
async def read_topology(caller: Reader, read: ReadTopologyDep) -> ConsumerTopologyView:
    """As they exist in the broker now. Costs up to six calls of the broker."""
    found = await read()
    parts = {name: getattr(found, name) for name in ("queue", "dead_letter_queue", "undelivered_queue")}
    return ConsumerTopologyView(
        topic=None if found.topic is None else TopicView.model_validate(found.topic),
        handles=[HandledTypeView(type=type, failure_policy=policy) for type, policy in found.handles],
        **{name: None if part is None else QueueView.model_validate(part) for name, part in parts.items()},
    )
