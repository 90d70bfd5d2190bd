"""What Alembic executes; the connection, the lock and the transaction come from `event_trio.database.migration`."""

from __future__ import annotations

from event_trio.database.migration import run_environment

run_environment()
