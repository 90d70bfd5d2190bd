"""What the notification service states: the payloads of `notification.*` events. None of them names the recipient."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from .payload import EventPayload


class NotificationEvent(EventPayload):
    """What every notification event says: which notification, of which order, and which event it answers."""

    notification_id: UUID
    order_id: UUID
    channel: str
    cause_event_id: UUID
    cause_type: str


class NotificationSent(NotificationEvent):
    """The customer was notified, as far as the channel can tell."""

    type: ClassVar[str] = "notification.sent"


class NotificationFailed(NotificationEvent):
    """The customer could not be notified, and no further attempt will be made."""

    type: ClassVar[str] = "notification.failed"

    reason: str


NOTIFICATION_EVENTS: tuple[type[NotificationEvent], ...] = (NotificationSent, NotificationFailed)
