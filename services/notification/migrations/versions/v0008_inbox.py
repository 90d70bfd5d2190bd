"""The fifth version of the inbox."""

from __future__ import annotations

from alembic import op

from event_trio.inbox.schema import STATEMENTS_V5, grants_v5

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the inbox to its fifth version."""
    for statement in (*STATEMENTS_V5, *grants_v5("notification_api")):
        op.execute(statement)
