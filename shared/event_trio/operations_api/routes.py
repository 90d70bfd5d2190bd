"""What operators of a consuming service work with, as one piece: its routes, and what the routes need."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..idempotency.response_store import ResponseStore
from ..inbox.dead_letters import DeadLetters
from ..inbox.deferred_messages import DeferredMessages
from ..inbox.operator_actions import OperatorActions
from ..inbox.reader import ProcessedMessages
from . import dead_letters, deferred_messages, operator_actions, processed_messages

ROUTERS = (processed_messages.router, dead_letters.router, deferred_messages.router, operator_actions.router)
"""Every consuming service has these routes."""


def consumer_state(
    sessions: async_sessionmaker[AsyncSession], consumer: str, answers: ResponseStore
) -> dict[str, object]:
    """What `ROUTERS` look for on `app.state`. `answers` keeps each change from being made twice under one key."""
    return {
        "dead_letters": DeadLetters(sessions, consumer),
        "deferred_messages": DeferredMessages(sessions, consumer),
        "operator_actions": OperatorActions(sessions, consumer),
        "processed_messages": ProcessedMessages(sessions, consumer),
        "answers": answers,
    }
