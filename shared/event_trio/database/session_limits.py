"""Limits of how long a session waits and keeps a transaction open, so that a process that hangs stops no other."""

from __future__ import annotations

from collections.abc import Mapping

LOCK_SECONDS = 5
IDLE_SECONDS = 30
TRANSACTION_SECONDS = 900
"""As long as a message is kept in flight for its handler."""
POOL_TRANSACTION_SECONDS = 60
"""For a pool, whose transactions have few statements."""

# Postgres does not count a client as idle that stopped between the parse and the execute messages of a statement, so
# only transaction_timeout ends its transaction and releases its locks. It exists since Postgres 17
# (https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT). A client that stopped while
# the server sends to it is not ended by any limit, but by TCP.
LIMITS: Mapping[str, float] = {
    "lock_timeout": LOCK_SECONDS,
    "idle_in_transaction_session_timeout": IDLE_SECONDS,
    "transaction_timeout": TRANSACTION_SECONDS,
}

NO_TRANSACTION_LIMIT = """
SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL
"""
"""For a session that streams the log, which is one transaction to the server."""


def limit_session() -> str:
    """The statement that sets the limits for the session.

    Where the role or the database has a limit already, that one stays. What the server does not know is skipped.
    """
    wanted = ", ".join(f"('{name}', '{seconds}s')" for name, seconds in LIMITS.items())
    return f"""
    SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES {wanted}) AS wanted (name, value)
    WHERE current_setting(wanted.name, true) = '0'
    """  # noqa: S608 - constants of this file


def limit_pool_session() -> str:
    """The statements that set the limits for a session of a pool, whose transactions are shorter."""
    return f"""
    SELECT set_config('transaction_timeout', '{POOL_TRANSACTION_SECONDS}s', false)
    WHERE current_setting('transaction_timeout', true) = '0'
       OR current_setting('transaction_timeout', true)::interval > '{POOL_TRANSACTION_SECONDS}s'::interval;
    {limit_session()}
    """


def limit_role(role: str) -> str:
    """The statements that set the limits for all sessions of a role."""
    return "\n".join(
        f"IF current_setting('{name}', true) IS NOT NULL THEN ALTER ROLE {role} SET {name} = '{seconds}s'; END IF;"
        for name, seconds in LIMITS.items()
    )
