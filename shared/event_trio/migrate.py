"""The migrate command of a service: brings its database to the newest migration, and sets its roles' passwords."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from .database.roles import set_passwords
from .observability import logging
from .settings import EnvironmentSettings, load, whole_database_url

log = structlog.get_logger(__name__)


class MigrationSettings(EnvironmentSettings):
    """What migrating a database needs to know.

    A service adds a field `<role>_password` for each of its roles whose password may be set.
    """

    migration_database_password: SecretStr | None = Field(
        None, description="The owner's password as it is; otherwise MIGRATION_DATABASE_URL contains it, URL-encoded."
    )
    migration_database_url: SecretStr = Field(
        description="`postgresql://` URL of the role that owns the database and may create roles."
    )

    @field_validator("migration_database_url")
    @classmethod
    def _with_password(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        return whole_database_url(value, info.data.get("migration_database_password"))

    def role_passwords(self) -> dict[str, str]:
        """The passwords that are given, by role."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name not in _OWN}
        return {
            name.removesuffix("_password"): password.get_secret_value()
            for name, password in given.items()
            if password is not None
        }


_OWN = frozenset(MigrationSettings.model_fields)


async def migrate(url: str, package: str, passwords: Mapping[str, str] | None = None) -> None:
    """Run the migrations of `package` that are missing, then set the passwords (by role).

    `url` is that of the database's owner.
    """
    # A service imports this module for the name of its migrations, and needs no Alembic.
    from .database.migration import upgrade

    await upgrade(url, package)
    await set_passwords(url, passwords or {})


def run(name: str, settings_type: type[MigrationSettings], package: str) -> None:
    """Migrate the database that the environment names; wrong settings end the process with status 2."""
    settings = load(settings_type)
    logging.configure(f"{name}-migration")
    asyncio.run(migrate(settings.migration_database_url.get_secret_value(), package, settings.role_passwords()))
    log.info("database is up to date", action="migration.done")
