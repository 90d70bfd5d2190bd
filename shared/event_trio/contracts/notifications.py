"""The payloads of `notification.*` events, which the notification service publishes. None contains the recipient."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from .payload import EventPayload


class NotificationEvent(EventPayload):
    """The fields of every notification event: the notification, its order, and the event that caused it."""

    notification_id: UUID
    order_id: UUID
    channel: str
    cause_event_id: UUID
    cause_type: str


class NotificationSent(NotificationEvent):
    """The channel accepted the notification."""

    type: ClassVar[str] = "notification.sent"


class NotificationFailed(NotificationEvent):
    """The customer could not be notified, and no further attempt is made."""

    type: ClassVar[str] = "notification.failed"

    reason: str


NOTIFICATION_EVENTS: tuple[type[NotificationEvent], ...] = (NotificationSent, NotificationFailed)
