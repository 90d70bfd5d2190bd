"""Stored responses to requests with an idempotency key."""

from __future__ import annotations

from alembic import op

from event_trio.idempotency.schema import TABLE, grants, statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    for statement in (*statements(TABLE), *grants(TABLE, "order_api")):
        op.execute(statement)
