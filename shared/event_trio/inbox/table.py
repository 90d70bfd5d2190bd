"""The inbox tables for SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

# Columns that the database fills in (id, processed_at, deferred_at, ...) are read here, never written.
processed_message = Table(
    "processed_message",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("source", Text),
    Column("subject", Text),
    Column("sequence", BigInteger),
    Column("type", Text),
    Column("time", DateTime(timezone=True)),
    Column("processed_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
)

deferred_message = Table(
    "deferred_message",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("message_group", Text, nullable=False),
    Column("source", Text),
    Column("subject", Text),
    Column("sequence", BigInteger),
    Column("type", Text),
    Column("status", Text, nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("deferred_at", DateTime(timezone=True), nullable=False),
    Column("blocks", Boolean, nullable=False),
    Column("taken_until", DateTime(timezone=True)),
    Column("starts", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("redrive_id", BigInteger),
    ForeignKeyConstraint(["consumer", "event_id"], ["processed_message.consumer", "processed_message.event_id"]),
)

operator_action = Table(
    "operator_action",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("message_group", Text, nullable=False),
    Column("type", Text),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("done_at", DateTime(timezone=True), nullable=False),
)

started_message = Table(
    "started_message",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("starts", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
)

redrive = Table(
    "redrive",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("selection", JSONB, nullable=False),
    Column("per_second", Float),
    Column("requested_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("chosen", Integer, nullable=False),
    Column("until_id", BigInteger, nullable=False),
    Column("after_id", BigInteger, nullable=False),
    Column("redriven", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("stopped_at", DateTime(timezone=True)),
    Column("stopped_by", Text),
    Column("stopped_reason", Text),
)
