"""Which events of others the order service handles, and what happens when that fails."""

from __future__ import annotations

from event_trio.consumer.policies import Retry, Unit
from event_trio.consumer.router import Router
from event_trio.contracts.notifications import NotificationFailed

from .compensation import Compensator

# Nothing outside the database takes part, so what fails is a mistake in the code or in the event.
POLICY = Retry(attempts=6, delay=1, unit=Unit.SECONDS, backoff=3.0)


def router(compensator: Compensator) -> Router:
    """The handlers."""
    routes = Router()
    routes.handle(NotificationFailed, compensator.notification_failed, policy=POLICY, timeout=10.0)
    return routes
