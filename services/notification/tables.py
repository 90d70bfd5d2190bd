"""The tables of the notifications database as the code uses them; the migrations create them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, MetaData, Text, Uuid
from sqlmodel import Field, SQLModel

metadata = MetaData()

INSTANT = DateTime(timezone=True)


class NotificationsTable(SQLModel):
    """The base of the service's tables, with separate metadata."""

    metadata: ClassVar[MetaData] = metadata


class OrderRecipientRow(NotificationsTable, table=True):
    """The recipient of an order, and the sequence of the last event that this service published about it."""

    __tablename__ = "order_recipient"

    order_id: UUID = Field(sa_type=Uuid, primary_key=True)
    customer_id: str = Field(sa_type=Text)
    recipient: str = Field(sa_type=Text)
    locale: str = Field(sa_type=Text)
    last_sequence: int = Field(sa_type=BigInteger)
    updated_at: datetime = Field(sa_type=INSTANT)


class NotificationRow(NotificationsTable, table=True):
    """A notification."""

    __tablename__ = "notification"

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    order_id: UUID = Field(sa_type=Uuid, foreign_key="order_recipient.order_id")
    event_id: UUID = Field(sa_type=Uuid, unique=True)
    event_type: str = Field(sa_type=Text)
    channel: str = Field(sa_type=Text)
    recipient: str = Field(sa_type=Text)
    locale: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    sent_at: datetime | None = Field(default=None, sa_type=INSTANT)
