"""All operations routes of a service, and the application state that they need."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..contracts.payload import EventPayload
from ..idempotency.response_store import ResponseStore
from ..inbox.dead_letters import DeadLetters
from ..inbox.deferred_messages import DeferredMessages
from ..inbox.failures import MessageFailures
from ..inbox.operator_actions import OperatorActions
from ..inbox.reader import ProcessedMessages
from ..inbox.redrives import Redrives
from ..inbox.revealing import Revealing
from ..outbox.reader import RecordedEvents
from . import (
    dead_letters,
    deferred_messages,
    envelopes,
    events,
    failures,
    operator_actions,
    process,
    processed_messages,
    recorded_events,
    redrives,
    reveals,
    topology,
)
from .masking import personal_fields

ROUTERS = (
    *(events.router, processed_messages.router, dead_letters.router, deferred_messages.router),
    reveals.router,
    *(failures.router, redrives.router, operator_actions.router, process.router, topology.router),
)


def routers(*, publishes: bool) -> tuple[APIRouter, ...]:
    """The routes of a service that consumes, and with `publishes` also those about its outbox."""
    return (*ROUTERS, recorded_events.router, envelopes.router) if publishes else ROUTERS


def publisher_state(
    sessions: async_sessionmaker[AsyncSession] | None, service: str, published: Iterable[type[EventPayload]]
) -> dict[str, object]:
    """What the routes about the outbox look up on `app.state`; `sessions` is None without an outbox."""
    if sessions is None:
        return {"recorded_events": None}
    return {
        "recorded_events": RecordedEvents(sessions),
        "personal_fields": personal_fields(published),
        "revealing": Revealing(sessions, service),
    }


def consumer_state(
    sessions: async_sessionmaker[AsyncSession],
    consumer: str,
    responses: ResponseStore,
    redriving: Redrives,
    handled: Iterable[type[EventPayload]],
) -> dict[str, object]:
    """What `ROUTERS` look up on `app.state`.

    `responses` makes their changes idempotent, and `redriving` is what a loop of the service carries out. `handled` are
    the payloads of the handlers, which tell what is personal data in a message.
    """
    return {
        "dead_letters": DeadLetters(sessions, consumer),
        "message_revealing": Revealing(sessions, consumer),
        "message_personal_fields": personal_fields(handled),
        "failures": MessageFailures(sessions, consumer),
        "redrives": redriving,
        "deferred_messages": DeferredMessages(sessions, consumer),
        "operator_actions": OperatorActions(sessions, consumer),
        "processed_messages": ProcessedMessages(sessions, consumer),
        "responses": responses,
    }
