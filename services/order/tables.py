"""The tables of the orders database as the code uses them; the migrations create them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, Integer, MetaData, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

metadata = MetaData()

INSTANT = DateTime(timezone=True)
# Currencies of ISO 4217 have at most 3 decimal places; one to spare.
AMOUNT = Numeric(18, 4)


class OrderTable(SQLModel):
    """The base of the service's tables, with separate metadata."""

    metadata: ClassVar[MetaData] = metadata


class OrderRow(OrderTable, table=True):
    """An order."""

    __tablename__ = "orders"

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    customer_id: str = Field(sa_type=Text)
    recipient: str = Field(sa_type=Text)
    locale: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    held_from: str | None = Field(default=None, sa_type=Text)
    version: int = Field(sa_type=Integer)
    placed_at: datetime = Field(sa_type=INSTANT)
    updated_at: datetime = Field(sa_type=INSTANT)


class OrderLineRow(OrderTable, table=True):
    """One line of an order."""

    __tablename__ = "order_line"

    order_id: UUID = Field(sa_type=Uuid, primary_key=True, foreign_key="orders.id")
    position: int = Field(sa_type=Integer, primary_key=True)
    sku: str = Field(sa_type=Text)
    quantity: int = Field(sa_type=Integer)
    unit_price: Decimal = Field(sa_type=AMOUNT)


class OrderHistoryRow(OrderTable, table=True):
    """A change of an order and its event; kept longer than the outbox."""

    __tablename__ = "order_history"

    order_id: UUID = Field(sa_type=Uuid, primary_key=True, foreign_key="orders.id")
    version: int = Field(sa_type=Integer, primary_key=True)
    state: str = Field(sa_type=Text)
    event_id: UUID = Field(sa_type=Uuid, unique=True)
    type: str = Field(sa_type=Text)
    data: dict[str, Any] = Field(sa_type=JSONB)
    correlation_id: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=INSTANT)


class OrderReportRow(OrderTable, table=True):
    """An event of another service about an order, and the compensation."""

    __tablename__ = "order_report"

    event_id: UUID = Field(sa_type=Uuid, primary_key=True)
    order_id: UUID = Field(sa_type=Uuid, foreign_key="orders.id")
    type: str = Field(sa_type=Text)
    cause_type: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    compensation: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=INSTANT)
