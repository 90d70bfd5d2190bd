"""The table of stored responses, as statements for a migration. Released statements never change."""

from __future__ import annotations

TABLE = "idempotency_key"
"""The table of a service; the outbox has a separate one (`shared/event_trio/outbox/schema.py`)."""


def statements(table: str) -> tuple[str, ...]:
    """The statements that create the table under this name."""
    return (
        f"""
        CREATE TABLE {table} (
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
        # Finds expired rows.
        f"CREATE INDEX {table}_oldest ON {table} (created_at)",
    )


def grants(table: str, role: str) -> tuple[str, ...]:
    """The statements that let a role insert and delete responses, but not update them."""
    return (f"GRANT SELECT, INSERT, DELETE ON {table} TO {role}",)
