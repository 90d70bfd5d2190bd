"""Runs a handler in a task of its own, so that whatever it raises concerns its event only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from ...errors import EventTrioError

log = structlog.get_logger(__name__)

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""How long a cancelled handler may take to end; after that it is abandoned."""


class HandlerCancelled(EventTrioError):
    """The handler cancelled itself, or something that it waited for was cancelled."""


class HandlerExited(EventTrioError):
    """The handler tried to end the process or its own coroutine."""


async def run_handler(handler: Callable[[], Awaitable[T]]) -> T:
    """Return what the handler returns.

    Whatever it raises is raised as an Exception. A CancelledError is only raised when the caller is cancelled, and
    after the handler has ended.
    """
    task = asyncio.create_task(_run(handler))
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task.add_done_callback(lambda _: None if ended.done() else ended.set_result(None))
    try:
        # Not the task itself: a cancellation of the caller would cancel it, and not wait for its end.
        await ended
    except asyncio.CancelledError:
        task.cancel()
        _, running = await asyncio.wait([task], timeout=GRACE_SECONDS)
        if running:
            log.error("a handler does not end when it is cancelled", action="consumer.handler_stuck")
        elif not task.cancelled():
            task.exception()  # retrieved, for the cancellation counts
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
        # In a task of asyncio some of these would end the process, and its other events with it.
        raise HandlerExited(f"the handler raised {type(error).__name__}") from error
