"""The events that the order service handles, and their failure policy."""

from __future__ import annotations

from event_trio.consumer.policies import Retry, Unit
from event_trio.consumer.router import Router
from event_trio.contracts.notifications import NotificationFailed

from .compensation import Compensator

# Only the database is involved, so a failure is an error in the code or in the event.
POLICY = Retry(attempts=6, delay=1, unit=Unit.SECONDS, backoff=3.0)


def router(compensator: Compensator) -> Router:
    """The handlers."""
    routes = Router()
    routes.handle(NotificationFailed, compensator.notification_failed, policy=POLICY, timeout=10.0)
    return routes
