"""Migrations: brought up to date under a lock, and compared with the code for the readiness page."""

from __future__ import annotations

import importlib
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from .connections import create_engine

# Any constant will do: advisory locks are per database, and each database has one chain of migrations.
LOCK = 0x6D696772


async def upgrade(url: str, package: str) -> None:
    """Bring the database at `url` to the newest migration of `package` (`services.order.migrations`).

    All of it is one transaction behind an advisory lock: two containers that start at once do not race, and a
    migration that fails leaves nothing behind. Raises what the database raised.
    """
    engine = create_engine(url, application_name="migration", pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            await connection.run_sync(_upgrade, _config(package))
    finally:
        await engine.dispose()


def newest(package: str) -> str | None:
    """The newest migration of `package`. It reads all of them: ask once."""
    return ScriptDirectory.from_config(_config(package)).get_current_head()


def run_environment() -> None:
    """What a service's migrations/env.py calls: run the migrations on the connection that `upgrade` opened."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    context.run_migrations()


def _config(package: str) -> Config:
    module = importlib.import_module(package)
    if module.__file__ is None:
        raise ImportError(f"{package} has no folder; it needs an __init__.py")
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
