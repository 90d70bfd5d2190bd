"""The table of answers, as statements that a migration runs; they never change once they were released."""

from __future__ import annotations

TABLE = "idempotency_key"
"""The table in a service's own database; an outbox has one of its own (`shared/event_trio/outbox/schema.py`)."""


def statements(table: str) -> tuple[str, ...]:
    """The statements that make the table under this name."""
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
        # What has expired is found by its age.
        f"CREATE INDEX {table}_oldest ON {table} (created_at)",
    )


def grants(table: str, role: str) -> tuple[str, ...]:
    """The statements that let a role keep answers and forget them, and never rewrite one."""
    return (f"GRANT SELECT, INSERT, DELETE ON {table} TO {role}",)
