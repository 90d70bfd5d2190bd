"""Connects to a server, and keeps statements prepared where no pooler stands between."""

from __future__ import annotations

from typing import Any

import asyncpg

from .probe import ask
from .session_limits import limit_pool_session

STATEMENTS = 100
"""How many statements a direct connection keeps prepared."""
BACKEND = "SELECT pg_backend_pid()"
# A transaction of one statement needs the isolation level of all others. A plan is made for each execution: a plan that
# was made while the table was empty would be kept until the table is analyzed.
SESSION = "SET default_transaction_isolation TO 'read committed'; SET plan_cache_mode TO force_custom_plan"


class DirectConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection to the server itself, which keeps its session from one transaction to the next."""

    __slots__ = ()
    keeps_session = True


async def connect_directly_if_possible(*arguments: Any, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """Connect with asyncpg. The connection is a DirectConnection if the server itself answers.

    A pooler in transaction mode answers with a key of its own in the place of the server's process id (PostgreSQL
    protocol, BackendKeyData), because it may use another server connection for each transaction.
    """
    direct = {"statement_cache_size": STATEMENTS, "connection_class": DirectConnection}
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(*arguments, **{**options, **direct})
    try:
        [(backend,)] = await ask(connection, BACKEND)
        if int(backend) == connection.get_server_pid():
            await connection.execute(f"{SESSION}; {limit_pool_session()}")
            return connection
        await connection.close()
    except BaseException:
        connection.terminate()
        raise
    return await asyncpg.connect(*arguments, **options)


def keeps_session(connection: Any) -> bool:
    """Whether the connection, or the one that a pool lent, is direct."""
    return getattr(connection, "keeps_session", False) is True
