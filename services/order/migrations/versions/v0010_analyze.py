"""The fifth version of the outbox and the sixth of the inbox: large tables are analyzed less often."""

from __future__ import annotations

from alembic import op

from event_trio.inbox import schema as inbox
from event_trio.outbox import schema as outbox

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring both to these versions."""
    for statement in (*outbox.STATEMENTS_V5, *inbox.STATEMENTS_V6):
        op.execute(statement)
