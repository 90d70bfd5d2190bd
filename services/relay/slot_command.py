"""Creates and drops the replication slot: `event-trio-relay create-slot`, `event-trio-relay drop-slot`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import asyncpg
from pydantic import Field, SecretStr, field_validator

from event_trio.error_text import describe
from event_trio.settings import EnvironmentSettings, fail, load, whole_database_url

from .settings import SlotSettings
from .wal import slots

T = TypeVar("T")

HINTS: tuple[tuple[type[asyncpg.PostgresError], str], ...] = (
    (asyncpg.DuplicateObjectError, "it exists already; the relays use it by themselves"),
    (asyncpg.UndefinedObjectError, "it does not exist"),
    (asyncpg.ObjectInUseError, "it is in use; stop the relays, or set SOURCE=table for them, before it is dropped"),
    (
        asyncpg.InsufficientPrivilegeError,
        "the role of WAL_DATABASE_URL needs the attribute REPLICATION, and CONNECT on the database",
    ),
    (asyncpg.ConfigurationLimitExceededError, "the server has no room for another slot (max_replication_slots)"),
    (asyncpg.ObjectNotInPrerequisiteStateError, "the server's wal_level must be `logical`, which takes a restart"),
    (asyncpg.UndefinedFunctionError, "slots that standbys copy exist since Postgres 17"),
)


class SlotCommandSettings(EnvironmentSettings, SlotSettings):
    """What the command needs to know."""

    database_password: SecretStr | None = Field(None, description="The password of the role in DATABASE_URL.")
    database_url: SecretStr = Field(description="The database of the outbox.")

    @field_validator("database_url")
    @classmethod
    def _is_whole(cls, value: SecretStr) -> SecretStr:
        return whole_database_url(value, None)


def create(*, failover: bool) -> None:
    """Create the slot, or exit with status 2 and the reason."""
    url, slot = _find()
    position = asyncio.run(_explained(slots.create(url, slot, failover=failover), f"cannot create the slot {slot}"))
    print(f"created the replication slot {slot} at {position}; it keeps the log from now on, so keep a relay running")  # noqa: T201


def drop() -> None:
    """Drop the slot, or exit with status 2 and the reason."""
    url, slot = _find()
    asyncio.run(_explained(slots.drop(url, slot), f"cannot drop the slot {slot}"))
    print(f"dropped the replication slot {slot}; relays with SOURCE=wal poll the table")  # noqa: T201


def _find() -> tuple[str, str]:
    settings = load(SlotCommandSettings)
    url = settings.wal_database_url or settings.database_url
    return url.get_secret_value(), settings.slot_of(settings.database_url)


async def _explained(work: Awaitable[T], failure: str) -> T:
    try:
        return await work
    except slots.TransactionsOpen as error:
        fail(f"{failure}: a slot begins where no transaction is open, and {error}; end them and try again")
    except asyncpg.PostgresError as error:
        hints = (hint for kind, hint in HINTS if isinstance(error, kind))
        fail(f"{failure}: {next(hints, describe(error))}")
    except OSError as error:
        fail(f"{failure}: the database cannot be reached ({type(error).__name__})")
