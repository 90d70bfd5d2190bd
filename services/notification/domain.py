"""What a notification is, and to whom it goes. No framework."""

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
    """It is not known here whom to notify about this order: its order.placed was never handled."""


class NotificationNotFound(EventTrioError):
    """There is no such notification, or it is not this caller's."""


class NotificationStatus(StrEnum):
    """What became of a notification."""

    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom to notify about an order, in which language."""

    order_id: OrderId
    customer_id: str
    address: str
    locale: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """What to say, in the language that it is written in."""

    locale: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """What a sender sends. Its key is the id of the event that it is about: sent twice, it is the same notice."""

    key: UUID
    address: str
    text: MessageText


@dataclass(frozen=True, slots=True)
class Notification:
    """A notice that was sent (or could not be), as it is kept."""

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
