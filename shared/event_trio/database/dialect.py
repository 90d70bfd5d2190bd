"""SQLAlchemy's asyncpg dialect with a test of connections that costs no round trip.

`create_engine` registers it; importing this module imports SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi, PGDialect_asyncpg
from sqlalchemy.util import await_only

from .faults import ends_connection

NAME = "event_trio_asyncpg"
URL = f"postgresql+{NAME}://"

without_transaction: ContextVar[bool] = ContextVar("without_transaction", default=False)
"""Whether the connection that is being taken from a pool is used without a transaction."""


class BeginningDialect(PGDialect_asyncpg):
    """Begins the transaction when a connection is taken from the pool.

    BEGIN is the first statement in any case, and nothing has happened before it. If it meets a dead connection, the
    pool replaces this connection, and all that are as old, and the transaction begins on a new one. A ping would find
    the same with more round trips.
    """

    supports_statement_cache = True

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Begin the transaction; whether the connection can be used."""
        if dbapi_connection.driver_connection.is_closed():
            return False
        if not without_transaction.get():
            # The method with which the adapter itself begins a transaction before its first statement.
            await_only(dbapi_connection._start_transaction())
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether the connection cannot be used after this error, also while the server is still closing it."""
        return bool(super().is_disconnect(e, connection, cursor)) or ends_connection(e)  # type: ignore[no-untyped-call]


@contextmanager
def driver_errors() -> Iterator[None]:
    """Raise the driver's own error where the adapter raises one of its own for it."""
    try:
        yield
        return
    except AsyncAdapt_asyncpg_dbapi.Error as adapted:
        error = adapted.__cause__ or adapted
    # Outside of the handler: in it, the error would become the context of its own consequence.
    raise error


def register() -> None:
    """Make the dialect known to SQLAlchemy under its name."""
    registry.register(f"postgresql.{NAME}", __name__, BeginningDialect.__name__)
