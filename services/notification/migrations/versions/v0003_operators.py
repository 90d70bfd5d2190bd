"""Idempotency keys of operators' requests to the service and to its outbox."""

from __future__ import annotations

from alembic import op

from event_trio.idempotency.schema import TABLE, grants, statements
from event_trio.outbox.schema import STATEMENTS_V2, grants_v2

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OWN = (*statements(TABLE), *grants(TABLE, "notification_api"))


def upgrade() -> None:
    """Add the service's table, and bring the outbox to its second version."""
    for statement in (*OWN, *STATEMENTS_V2, *grants_v2(relay="notification_relay")):
        op.execute(statement)
