"""The fourth version of the inbox."""

from __future__ import annotations

from alembic import op

from event_trio.inbox.schema import STATEMENTS_V4

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the inbox to its fourth version."""
    for statement in STATEMENTS_V4:
        op.execute(statement)
