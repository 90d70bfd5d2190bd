"""Deferred messages run again, dead letters are redriven and discarded, and old inbox rows are pruned."""

from __future__ import annotations

from alembic import op

from event_trio.inbox.schema import STATEMENTS_V2, grants_v2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the inbox to its second version."""
    for statement in (*STATEMENTS_V2, *grants_v2("notification_api")):
        op.execute(statement)
