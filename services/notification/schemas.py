"""The responses of the REST API."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from .domain import Notification, NotificationStatus

NEXT = "Pass it as `cursor` to get the next page; null on the last page."


class NotificationView(BaseModel):
    """A notification."""

    id: UUID
    order_id: UUID
    event_id: UUID = Field(description="The event that it is about.")
    event_type: str = Field(examples=["order.placed"])
    channel: str = Field(examples=["log", "email"])
    recipient: str
    locale: str = Field(description="The language of the text.")
    subject: str
    body: str
    status: NotificationStatus
    created_at: datetime
    sent_at: datetime | None

    @classmethod
    def of(cls, notification: Notification) -> NotificationView:
        """The view of a notification."""
        return cls.model_validate(notification, from_attributes=True)


class NotificationPage(BaseModel):
    """Notifications, newest first."""

    items: list[NotificationView]
    next_cursor: str | None = Field(description=NEXT)
