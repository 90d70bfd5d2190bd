"""Alembic's entrance; the connection, the lock and the transaction come from `shared.migration`."""

from __future__ import annotations

from shared.migration import run_environment

run_environment()
