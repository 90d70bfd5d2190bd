"""Connects to NATS, and puts its errors into words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client
from nats.errors import Error

from ...errors import BrokerUnavailable

FAULTS: tuple[type[BaseException], ...] = (Error, OSError, TimeoutError)


@asynccontextmanager
async def connected(url: str, *, call_seconds: float = 5.0) -> AsyncIterator[Client]:
    """A client that connects again for as long as it is open. Raises BrokerUnavailable if the server is not there."""

    async def quiet(_: Exception) -> None:
        """Every call reports its failure itself."""

    try:
        client = await nats.connect(
            url,
            connect_timeout=max(1, int(call_seconds)),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
            error_cb=quiet,
        )
    except FAULTS as error:
        raise BrokerUnavailable(f"cannot connect to NATS: {text_of(error)}") from error
    try:
        yield client
    finally:
        await client.close()


def text_of(error: BaseException) -> str:
    """The error as a reason for an operator."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
