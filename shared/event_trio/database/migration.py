"""Alembic migrations: run under a lock, and compared with the code by the readiness check."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text

from .connections import create_engine
from .migration_files import versions

# Any constant will do: advisory locks are per database, and each database has one chain of migrations.
LOCK = 0x6D696772
ENVIRONMENT = Path(__file__).parent / "migrations_environment"


async def upgrade(url: str, package: str) -> None:
    """Bring the database at `url` to the newest migration of `package`, such as `services.order.migrations`.

    All migrations run in one transaction that holds an advisory lock: containers that start at the same time wait for
    each other, and a failed migration leaves nothing behind. Raises the database's error.
    """
    engine = create_engine(url, application_name="migration", pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            await connection.run_sync(_upgrade, _config(package))
    finally:
        await engine.dispose()


def run_environment() -> None:
    """Run the migrations on the connection that `upgrade` opened; called by `migrations_environment/env.py`."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    context.run_migrations()


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions(package)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
