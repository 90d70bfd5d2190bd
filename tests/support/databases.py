"""A database of its own for every test, cloned from a template that was migrated once."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from event_trio.outbox import publication
from event_trio.outbox import schema as outbox
from event_trio.outbox.install import TABLES as OUTBOX
from tests.support import wal_source

Migrate = Callable[[str], Awaitable[None]]

OUTBOX_WRITER = "outbox_writer"
OUTBOX_RELAY = "outbox_relay"
# Only for a server that asks for passwords, which one under $TEST_DATABASE_URL may.
ROLE_PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class TestDatabase:
    """A database that belongs to one test."""

    __test__: ClassVar[bool] = False

    name: str
    url: str
    """URL as the owner."""

    def url_for(self, role: str) -> str:
        """URL as one of the service's roles."""
        password = ROLE_PASSWORD if urlsplit(self.url).password else None
        return _with_user(self.url, role, password)


def role_passwords(admin_url: str, *roles: str) -> dict[str, str]:
    """What to give the roles of a service: nothing where the server trusts the loopback."""
    return dict.fromkeys(roles, ROLE_PASSWORD) if urlsplit(admin_url).password else {}


@asynccontextmanager
async def database(
    admin_url: str, *, template: str | None = None, purpose: str = "test"
) -> AsyncIterator[TestDatabase]:
    """Create a database, as a copy of `template` if one is given, and drop it at the end, whoever is connected."""
    name = f"{purpose}_{secrets.token_hex(6)}"
    await _create(admin_url, name, template)
    found = TestDatabase(name, _with_database(admin_url, name))
    try:
        if template and wal_source.chosen():
            await wal_source.prepare(found.url)
        yield found
    finally:
        if template and wal_source.chosen():
            await wal_source.remove(found.url)
        await execute(admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _create(admin_url: str, name: str, template: str | None) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        statement = f'CREATE DATABASE "{name}"'
        if template:
            statement += f' TEMPLATE "{template}"'
            # Since Postgres 15 the copy goes through the log by default, which takes five times as long.
            statement += " STRATEGY FILE_COPY" if connection.get_server_version() >= (15,) else ""
        await connection.execute(statement)
    finally:
        await connection.close()


async def create_template(admin_url: str, purpose: str, migrate: Migrate) -> str:
    """Create and migrate a database to clone from; returns its name. It lives as long as the session."""
    name = f"template_{purpose}_{secrets.token_hex(6)}"
    await execute(admin_url, f'CREATE DATABASE "{name}"')
    await migrate(_with_database(admin_url, name))
    return name


async def drop(admin_url: str, name: str) -> None:
    await execute(admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def migrate_outbox(url: str) -> None:
    """The outbox alone, with its two roles, for tests that need no service's tables."""
    passwords = role_passwords(url, OUTBOX_WRITER, OUTBOX_RELAY)
    for role in (OUTBOX_WRITER, OUTBOX_RELAY):
        await execute(url, _create_role(role, passwords.get(role)))
    grants = (
        *outbox.grants(writer=OUTBOX_WRITER, relay=OUTBOX_RELAY),
        *outbox.grants_v2(relay=OUTBOX_RELAY),
        *outbox.grants_v3(writer=OUTBOX_WRITER, relay=OUTBOX_RELAY),
        *outbox.grants_v4(relay=OUTBOX_RELAY),
    )
    versions = (version.statements for version in OUTBOX.versions)
    await execute(url, *chain.from_iterable(versions), *grants)
    await execute(url, publication.CREATE)


async def execute(url: str, *statements: str) -> None:
    """Run statements one by one, each committed by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, query: str, *values: object) -> list[asyncpg.Record]:
    """The rows of one query."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()


def _create_role(role: str, password: str | None) -> str:
    # Roles belong to the server: another session may make the same one at this moment.
    login = f"LOGIN PASSWORD '{password}'" if password else "LOGIN"
    return f"""
        DO $$ BEGIN
            CREATE ROLE {role} {login};
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END $$
    """


def _with_user(url: str, user: str, password: str | None) -> str:
    parts = urlsplit(url)
    address = re.sub(r"^.*@", "", parts.netloc)
    credentials = quote(user) + (f":{quote(password)}" if password else "")
    return urlunsplit(parts._replace(netloc=f"{credentials}@{address}"))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
