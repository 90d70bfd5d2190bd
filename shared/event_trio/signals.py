"""Signals that loops emit when they have done something; tests wait for them instead of sleeping."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

Facts: TypeAlias = Mapping[str, object]

KEPT = 10_000


class Signals:
    """The signals of a process. The newest are kept, so a wait that starts late sees earlier signals."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._seen: deque[tuple[str, Facts]] = deque(maxlen=kept)
        self._wakers: set[asyncio.Event] = set()

    def emit(self, name: str, **facts: object) -> None:
        """Emit a signal; cheap, and never waits."""
        self._seen.append((name, facts))
        for waker in self._wakers:
            waker.set()

    def seen(self, name: str, where: Callable[[Facts], bool] | None = None) -> list[Facts]:
        """The facts of every kept signal of that name, oldest first."""
        return [facts for seen, facts in self._seen if seen == name and (where is None or where(facts))]

    async def wait(
        self, name: str, *, where: Callable[[Facts], bool] | None = None, count: int = 1, timeout: float = 15.0
    ) -> Facts:
        """Wait until `count` signals of that name (that satisfy `where`) have been emitted since the start.

        Returns the facts of the last one. Raises TimeoutError, which names the signals that were seen.
        """
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            async with asyncio.timeout(timeout):
                while len(found := self.seen(name, where)) < count:
                    waker.clear()
                    await waker.wait()
            return found[count - 1]
        except TimeoutError:
            names = sorted({seen for seen, _ in self._seen})
            raise TimeoutError(
                f"{len(self.seen(name, where))} of {count} signals {name!r} within {timeout} s; seen: {names}"
            ) from None
        finally:
            self._wakers.discard(waker)
