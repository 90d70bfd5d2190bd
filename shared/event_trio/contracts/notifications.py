"""The payloads of `notification.*` events, which the notification service publishes. None contains the recipient."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from .payload import EventPayload


class NotificationEvent(EventPayload):
    """The fields of every notification event: the notification, its order, and the event that caused it."""

    owner: ClassVar[str] = "notification"

    notification_id: UUID = Field(description="The notification.", examples=["019aacb5-3a44-7b21-8d0c-5e7f90a1b2c3"])
    order_id: UUID = Field(description="The order that it is about.", examples=["019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"])
    channel: str = Field(description="The means by which the customer is notified.", examples=["mail"])
    cause_event_id: UUID = Field(
        description="The event that the customer is notified of.", examples=["019aacb5-2f10-7c3e-9a51-6b0f3d1e8a77"]
    )
    cause_type: str = Field(description="The type of that event.", examples=["order.placed"])


class NotificationSent(NotificationEvent):
    """The channel accepted the notification."""

    type: ClassVar[str] = "notification.sent"


class NotificationFailed(NotificationEvent):
    """The customer could not be notified, and no further attempt is made."""

    type: ClassVar[str] = "notification.failed"

    reason: str = Field(description="Why the last attempt failed.", examples=["the mail server rejected the recipient"])


NOTIFICATION_EVENTS: tuple[type[NotificationEvent], ...] = (NotificationSent, NotificationFailed)
