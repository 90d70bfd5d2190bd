"""Installs tables of the library in a database, and upgrades those of an older version."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    AsyncpgConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]

# Any constant will do: advisory locks are per database.
LOCK = 0x7461626C

VERSIONS = """
CREATE TABLE IF NOT EXISTS event_trio_version (
    component text PRIMARY KEY,
    version integer NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""

ROLE_WORDS = frozenset({"public", "current_role", "current_user", "session_user"})
Grants: TypeAlias = tuple[tuple[str, ...], ...]
"""The statements that give roles their rights, by version. They name tables, columns and indexes of that version."""
Steps: TypeAlias = Generator[str, object, int]
"""Statements, each answered by the first value of its result. It ends with the version that the tables have now."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a set of tables."""

    statements: tuple[str, ...]
    found: str
    """A condition that is true where this version, or a later one, was made without a record of it."""

    @classmethod
    def with_relation(cls, statements: tuple[str, ...], name: str) -> Version:
        """A version that creates a table or an index which later versions keep."""
        return cls(statements, f"to_regclass('{name}') IS NOT NULL")

    @classmethod
    def with_column(cls, statements: tuple[str, ...], table: str, name: str) -> Version:
        """A version that adds a column which later versions keep."""
        columns = f"SELECT FROM pg_attribute WHERE attrelid = to_regclass('{table}')"
        return cls(statements, f"EXISTS ({columns} AND attname = '{name}' AND NOT attisdropped)")

    @classmethod
    def with_parameter(cls, statements: tuple[str, ...], table: str, parameter: str) -> Version:
        """A version that sets a storage parameter, given as `name=value`, which later versions keep."""
        tables = f"SELECT FROM pg_class WHERE oid = to_regclass('{table}')"
        return cls(statements, f"EXISTS ({tables} AND '{parameter}' = ANY (reloptions))")


@dataclass(frozen=True, slots=True)
class TableSet:
    """Tables that belong together, by version. The statements of a released version never change."""

    component: str
    versions: tuple[Version, ...]

    async def install(
        self,
        connection: AsyncpgConnection | AsyncConnection | AsyncSession,
        grants: Grants = (),
        *,
        version: int | None = None,
    ) -> int:
        """Bring the tables to `version` (the newest by default) and run the grants of the versions that they
        then have; returns the newest of these.

        All of it happens in the caller's transaction, or in one of its own on an asyncpg connection without one. An
        SQLAlchemy connection is not committed here. Concurrent installations wait for each other.

        Raises ConfigurationError when the tables were made by a newer release of the library.
        """
        # A relay imports this module for the names of its tables, and needs no SQLAlchemy.
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

        steps = self.steps(grants, version=version)
        if isinstance(connection, AsyncSession):
            connection = await connection.connection()
        if isinstance(connection, AsyncConnection):
            return await connection.run_sync(run, steps)
        async with connection.transaction():
            answer: object = None
            while True:
                try:
                    statement = steps.send(answer)
                except StopIteration as end:
                    return int(end.value)
                answer = await connection.fetchval(statement)

    def steps(self, grants: Grants = (), *, version: int | None = None) -> Steps:
        """The statements that `install` runs."""
        newest = len(self.versions)
        wanted = newest if version is None else version
        if not 1 <= wanted <= newest:
            raise ConfigurationError(f"there is no version {wanted} of {self.component}; versions: 1 to {newest}")
        yield f"SELECT pg_advisory_xact_lock({LOCK})"
        yield VERSIONS
        recorded = yield f"SELECT version FROM event_trio_version WHERE component = '{self.component}'"  # noqa: S608
        found = int(str(recorded or 0))
        if found > newest:
            raise ConfigurationError(
                f"the tables of {self.component} have version {found}, and this release of event-trio knows only "
                f"{newest}: upgrade it"
            )
        # A migration may have run the statements of later versions itself.
        while found < newest and (yield f"SELECT {self.versions[found].found}"):
            found += 1
        for each in self.versions[found:wanted]:
            for statement in each.statements:
                yield statement
        now = max(found, wanted)
        yield f"""
        INSERT INTO event_trio_version (component, version) VALUES ('{self.component}', {now})
        ON CONFLICT (component) DO UPDATE SET version = {now}, installed_at = clock_timestamp()
        WHERE event_trio_version.version < {now}
        """  # noqa: S608 - a name and a number of this library
        for statement in chain.from_iterable(grants[:now]):
            yield statement
        return now


def quoted(role: str) -> str:
    """A role's name as SQL. The words that stand for a role, such as `current_user`, stay as they are."""
    return role if role.lower() in ROLE_WORDS else '"' + role.replace('"', '""') + '"'


def run(connection: Connection, steps: Steps) -> int:
    """Run the statements on a synchronous SQLAlchemy connection, such as Alembic's `op.get_bind()`."""
    from sqlalchemy import text

    answer: object = None
    while True:
        try:
            statement = steps.send(answer)
        except StopIteration as end:
            return int(end.value)
        result = connection.execute(text(statement))
        answer = result.scalar() if result.returns_rows else None
