"""Answers to requests that may come again under their key."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE idempotency_key (
        principal text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status integer NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (principal, key)
    )
    """,
    # What has expired is found by its age.
    "CREATE INDEX idempotency_key_oldest ON idempotency_key (created_at)",
    "GRANT SELECT, INSERT, DELETE ON idempotency_key TO order_api",
)


def upgrade() -> None:
    """Add the table."""
    for statement in STATEMENTS:
        op.execute(statement)
