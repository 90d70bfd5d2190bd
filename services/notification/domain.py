"""Notifications and their recipients, without any framework."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from event_trio.errors import EventTrioError

OrderId = NewType("OrderId", UUID)
NotificationId = NewType("NotificationId", UUID)

DEFAULT_LOCALE = "en"


class UnknownRecipient(EventTrioError):
    """The recipient of this order is unknown, because its order.placed was not handled."""


class NotificationNotFound(EventTrioError):
    """There is no such notification, or the caller may not see it."""


class NotificationStatus(StrEnum):
    """The result of a notification."""

    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recipient:
    """The recipient of an order's notifications, and the language."""

    order_id: OrderId
    customer_id: str
    address: str
    locale: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of a message, and its language."""

    locale: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message for a sender. Its key is the id of the event that it is about, the same in every attempt."""

    key: UUID
    address: str
    text: MessageText


@dataclass(frozen=True, slots=True)
class Notification:
    """A recorded notification, which was sent or could not be."""

    id: NotificationId
    order_id: OrderId
    event_id: UUID
    event_type: str
    channel: str
    recipient: str
    locale: str
    subject: str
    body: str
    status: NotificationStatus
    created_at: datetime
    sent_at: datetime | None


def language(locale: str) -> str:
    """The language of a locale: `ko` of `ko-KR` (BCP 47)."""
    return locale.partition("-")[0].partition("_")[0].lower()
