"""Connects to NATS, and puts its errors into words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.errors import Error

from ...errors import BrokerUnavailable

FAULTS: tuple[type[BaseException], ...] = (Error, OSError, TimeoutError)
AGAIN_SECONDS = 1


@asynccontextmanager
async def connected(url: str, *, call_seconds: float = 5.0, wait: bool = True) -> AsyncIterator[Client]:
    """A client that connects, and connects again, for as long as it is open.

    Raises BrokerUnavailable if the server is not there within `call_seconds`, unless it shall not `wait`.
    """

    async def quiet(_: Exception) -> None:
        """Every call reports its failure itself."""

    client = Client()
    connecting = asyncio.create_task(
        client.connect(
            url,
            connect_timeout=max(1, int(call_seconds)),
            max_reconnect_attempts=-1,
            reconnect_time_wait=AGAIN_SECONDS,
            error_cb=quiet,
        )
    )
    try:
        if wait:
            await asyncio.wait({connecting}, timeout=call_seconds)
            if not client.is_connected:
                raise BrokerUnavailable(f"cannot connect to NATS within {call_seconds:g} s")
        yield client
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await client.close()


def text_of(error: BaseException) -> str:
    """The error as a reason for an operator."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
