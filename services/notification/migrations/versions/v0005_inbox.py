"""The third version of the inbox."""

from __future__ import annotations

from alembic import op

from event_trio.inbox.schema import STATEMENTS_V3, grants_v3

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the inbox to its third version."""
    for statement in (*STATEMENTS_V3, *grants_v3("notification_api")):
        op.execute(statement)
