"""An event loop whose time passes when everybody waits: an hour of work in seconds, and the same every time."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Does not wait: the time that it was to wait is over at once."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nobody waits for anything that could still happen")
            self.now += max(0.0, timeout)
        # A turn of the loop takes a moment, or who waits for less than a float can tell would wait for ever.
        self.now += 1e-6
        return ready


class VirtualClock:
    """The time of the loop that runs."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end in virtual time. It may wait for time and for tasks, not for the network."""
    selector = _Selector()

    def make() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(work)


async def pass_time(seconds: float) -> None:
    """Let time pass, which takes none."""
    await asyncio.sleep(seconds)
