"""Idempotency keys of operators' requests to the outbox."""

from __future__ import annotations

from alembic import op

from event_trio.outbox.schema import STATEMENTS_V2, grants_v2

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the outbox to its second version."""
    for statement in (*STATEMENTS_V2, *grants_v2(relay="order_relay")):
        op.execute(statement)
