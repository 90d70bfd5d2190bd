"""The fourth version of the outbox."""

from __future__ import annotations

from alembic import op

from event_trio.outbox.schema import STATEMENTS_V4, grants_v4

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the outbox to its fourth version."""
    for statement in (*STATEMENTS_V4, *grants_v4(relay="notification_relay")):
        op.execute(statement)
