"""The third version of the outbox."""

from __future__ import annotations

from alembic import op

from event_trio.outbox.schema import STATEMENTS_V3, grants_v3

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the outbox to its third version."""
    for statement in (*STATEMENTS_V3, *grants_v3(writer="notification_api", relay="notification_relay")):
        op.execute(statement)
