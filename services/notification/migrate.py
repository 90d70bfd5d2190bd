"""Brings the notifications database up to date: `python -m services.notification.migrate`."""

from __future__ import annotations

from collections.abc import Mapping

from event_trio import migrate as library

from .settings import NotificationMigrationSettings

MIGRATIONS = "services.notification.migrations"


async def migrate(url: str, passwords: Mapping[str, str] | None = None) -> None:
    """Run the migrations that are missing, then set the roles' passwords. `url` is that of the owner."""
    await library.migrate(url, MIGRATIONS, passwords)


if __name__ == "__main__":
    library.run("notification", NotificationMigrationSettings, MIGRATIONS)
