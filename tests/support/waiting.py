"""Waits for conditions, instead of sleeping for a time that is too short on a busy machine."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.1


async def eventually(check: Callable[[], Awaitable[T]], *, timeout: float = 10.0) -> T:
    """Call `check` until its result is true, and return the result.

    An AssertionError counts as false, so that a check may consist of assertions. Raises AssertionError, with the last
    result, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        failure: AssertionError | None = None
        seen: object = None
        try:
            found = await check()
            if found:
                return found
            seen = found
        except AssertionError as error:
            failure, seen = error, error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not true after {timeout:g} s; last result: {seen!r}") from failure
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)


def run(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine from synchronous code, even if a loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
