"""An event loop with virtual time, which advances when all tasks wait: deterministic, and an hour takes seconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Advances the virtual time instead of waiting."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("all tasks wait for events that cannot happen")
            self.now += max(0.0, timeout)
        # Each iteration takes some time: a wait below the precision of a float would never end.
        self.now += 1e-6
        return ready


class VirtualClock:
    """The time of the running loop."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time. It may wait for time and tasks, but not for the network."""
    selector = _Selector()

    def make() -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(work)


async def pass_time(seconds: float) -> None:
    """Advance the virtual time."""
    await asyncio.sleep(seconds)
