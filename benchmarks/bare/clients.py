"""The clients of the bare loops: the SDK's own, which the project's factory does not choose, and the lean one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig

from event_trio.broker.lean import lean

REGION = "us-east-1"
READ_SECONDS = 30


class ClientKind(Enum):
    """Which client makes the calls."""

    STOCK = "stock"
    LEAN = "lean"


@asynccontextmanager
async def client(kind: ClientKind, service: str, endpoint: str, connections: int) -> AsyncIterator[Any]:
    """A client of SNS or SQS without retries, with any credentials."""
    session: Any = aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    config = AioConfig(
        max_pool_connections=connections,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        proxies={},
    )
    async with session.client(service, endpoint_url=endpoint, config=config) as stock:
        if kind is ClientKind.STOCK:
            yield stock
            return
        async with lean(stock) as thin:
            yield thin
