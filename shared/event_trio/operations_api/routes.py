"""All operations routes of a consuming service, and the application state that they need."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..idempotency.response_store import ResponseStore
from ..inbox.dead_letters import DeadLetters
from ..inbox.deferred_messages import DeferredMessages
from ..inbox.operator_actions import OperatorActions
from ..inbox.reader import ProcessedMessages
from . import dead_letters, deferred_messages, operator_actions, processed_messages

ROUTERS = (processed_messages.router, dead_letters.router, deferred_messages.router, operator_actions.router)


def consumer_state(
    sessions: async_sessionmaker[AsyncSession], consumer: str, responses: ResponseStore
) -> dict[str, object]:
    """What `ROUTERS` look up on `app.state`. `responses` makes their changes idempotent."""
    return {
        "dead_letters": DeadLetters(sessions, consumer),
        "deferred_messages": DeferredMessages(sessions, consumer),
        "operator_actions": OperatorActions(sessions, consumer),
        "processed_messages": ProcessedMessages(sessions, consumer),
        "responses": responses,
    }
