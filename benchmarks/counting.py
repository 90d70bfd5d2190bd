"""Counts the SQL statements and AWS calls of a process, in the clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import aiobotocore.client
import asyncpg

from event_trio.broker.lean.client import METHODS, LeanClient

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")
_counted: ContextVar[bool] = ContextVar("_counted", default=False)
"""Whether the call under way is counted already: the lean client lets the stock client answer some of its calls."""


@dataclass
class CallCounts:
    """SQL statements by name or first word; AWS calls by operation."""

    sql: Counter[str] = field(default_factory=Counter)
    aws: Counter[str] = field(default_factory=Counter)

    @property
    def statements(self) -> int:
        """All SQL statements except those that begin and end transactions."""
        return sum(count for name, count in self.sql.items() if name not in TRANSACTION_CONTROL)


@contextmanager
def count_calls() -> Iterator[CallCounts]:
    """Count the calls of all pools and clients that are created in the block."""
    counts = CallCounts()
    # Every operation of every client uses this method, which the types of the library do not declare.
    client_class: Any = aiobotocore.client.AioBaseClient
    lean_class: Any = LeanClient
    create_pool, call, lean_call = asyncpg.create_pool, client_class._make_api_call, lean_class._call

    async def add_logger(connection: Any) -> None:
        connection.add_query_logger(lambda record: counts.sql.update([_name(record.query)]))

    def create_counting_pool(*arguments: Any, **options: Any) -> Any:
        return create_pool(*arguments, **{"init": add_logger, **options})

    async def counting_call(client: Any, operation: str, parameters: Any) -> Any:
        if not _counted.get():
            counts.aws[operation] += 1
        return await call(client, operation, parameters)

    async def counting_lean_call(client: Any, method: str, parameters: Any) -> Any:
        operation = METHODS.get(client.meta.service_model.service_name, {}).get(method)
        if operation is None:
            return await lean_call(client, method, parameters)
        counts.aws[operation] += 1
        token = _counted.set(True)
        try:
            return await lean_call(client, method, parameters)
        finally:
            _counted.reset(token)

    asyncpg.create_pool = create_counting_pool
    client_class._make_api_call = counting_call
    lean_class._call = counting_lean_call
    try:
        yield counts
    finally:
        asyncpg.create_pool = create_pool
        client_class._make_api_call = call
        lean_class._call = lean_call


def _name(query: str) -> str:
    text = query.strip()
    if text.startswith("-- "):
        return text[3:].partition(":")[0]
    return text.split(maxsplit=1)[0].rstrip(";").upper()
