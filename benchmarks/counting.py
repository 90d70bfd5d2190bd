"""Counts what a process asks of its database and of AWS, at the clients themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiobotocore.client
import asyncpg

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")


@dataclass
class CallCounts:
    """SQL statements by their name, or first word; AWS calls by their operation."""

    sql: Counter[str] = field(default_factory=Counter)
    aws: Counter[str] = field(default_factory=Counter)

    @property
    def statements(self) -> int:
        """All SQL statements but those that begin and end transactions."""
        return sum(count for name, count in self.sql.items() if name not in TRANSACTION_CONTROL)


@contextmanager
def counted() -> Iterator[CallCounts]:
    """Count everything that pools and clients made inside the block ask for."""
    asked = CallCounts()
    # Every operation of every client comes by here; the library's types do not mention it.
    client_class: Any = aiobotocore.client.AioBaseClient
    create_pool, call = asyncpg.create_pool, client_class._make_api_call

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: asked.sql.update([_name(record.query)]))

    def create_listening_pool(*arguments: Any, **options: Any) -> Any:
        return create_pool(*arguments, **{"init": listen, **options})

    async def counting_call(client: Any, operation: str, parameters: Any) -> Any:
        asked.aws[operation] += 1
        return await call(client, operation, parameters)

    asyncpg.create_pool = create_listening_pool
    client_class._make_api_call = counting_call
    try:
        yield asked
    finally:
        asyncpg.create_pool = create_pool
        client_class._make_api_call = call


def _name(query: str) -> str:
    text = query.strip()
    if text.startswith("-- "):
        return text[3:].partition(":")[0]
    return text.split(maxsplit=1)[0].rstrip(";").upper()
