"""The outbox table for SQLAlchemy, with what a service needs to write to it or join it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# Columns that the database fills in (id, lane, recorded_at, ...) are only read.
outbox_event = Table(
    "outbox_event",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("broker_message_id", Text),
    Column("published_at", DateTime(timezone=True)),
    Column("republished", Integer, nullable=False),
    Column("held_at", DateTime(timezone=True)),
    Column("held_reason", Text),
    Column("held_behind", Uuid),
    Column("last_error", Text),
    Column("first_sent_at", DateTime(timezone=True)),
    Column("first_published_at", DateTime(timezone=True)),
)

# For discarded events, which are no longer in the outbox, as are published events after their retention.
outbox_audit = Table(
    "outbox_audit",
    MetaData(),  # incomplete, so migrations must not be compared with it
    Column("id", BigInteger, primary_key=True),
    Column("event_id", Uuid),
    Column("action", Text, nullable=False),
)
