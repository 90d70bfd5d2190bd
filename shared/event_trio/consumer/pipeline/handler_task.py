"""Runs a handler in a task of its own, so that every way out of it is an answer or an error, and ends nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from ...errors import EventTrioError

log = structlog.get_logger(__name__)

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long a handler that was cancelled may take to end; after that it is left to itself."""


class HandlerCancelled(EventTrioError):
    """The handler cancelled itself, or something that it waited for was cancelled."""


class HandlerExited(EventTrioError):
    """The handler tried to end the process or its own coroutine."""


async def alone(handler: Callable[[], Awaitable[T]]) -> T:
    """What the handler returns. Raises what it raises, as an Exception whatever it was; a CancelledError comes only out
    of a cancellation of the caller, who waits until the handler has ended too.
    """
    task = asyncio.create_task(_run(handler))
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        _, running = await asyncio.wait([task], timeout=GRACE_SECONDS)
        if running:
            log.error("a handler does not end when cancelled", action="consumer.handler_stuck")
        elif not task.cancelled():
            task.exception()  # it is heard of: the cancellation is what counts
        raise
    if task.cancelled():
        raise HandlerCancelled
    return task.result()


async def _run(handler: Callable[[], Awaitable[T]]) -> T:
    try:
        return await handler()
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        # In a task of asyncio's some of these would end the process, and its other events with it.
        raise HandlerExited(f"the handler raised {type(error).__name__}") from error
