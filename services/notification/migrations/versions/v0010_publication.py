"""The publication of the outbox, for relays with `SOURCE=wal`. Nothing reads it until there is a replication slot."""

from __future__ import annotations

from alembic import op

from event_trio.outbox.publication import CREATE

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Publish the columns that tell whether an event is to be sent."""
    op.execute(CREATE)
