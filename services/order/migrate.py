"""Brings the orders database up to date: `python -m services.order.migrate`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from event_trio.database.migration import upgrade
from event_trio.database.roles import set_passwords
from event_trio.observability import logging
from event_trio.settings import load

from .settings import OrderMigrationSettings

log = structlog.get_logger(__name__)

MIGRATIONS = "services.order.migrations"


async def migrate(url: str, passwords: Mapping[str, str] | None = None) -> None:
    """Run what is missing, then give roles the passwords that are given (by role). `url` is the owner's."""
    await upgrade(url, MIGRATIONS)
    await set_passwords(url, passwords or {})


def run() -> None:
    """Migrate by the environment's settings."""
    settings = load(OrderMigrationSettings)
    logging.configure("order-migration")
    given = {"order_api": settings.order_api_password, "order_relay": settings.order_relay_password}
    passwords = {role: password.get_secret_value() for role, password in given.items() if password is not None}
    asyncio.run(migrate(settings.migration_database_url.get_secret_value(), passwords))
    log.info("the orders database is up to date", action="migration.done")


if __name__ == "__main__":
    run()
