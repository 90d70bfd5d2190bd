"""Stops consumers on SIGTERM and SIGINT."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar, TypeAlias
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError

SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None


class StopSignals:
    """An event that SIGTERM and SIGINT set, while the context lasts.

    All contexts of an event loop share one handler, which sets the event of each. The last one restores the handlers
    that the program had installed with `signal.signal`.
    """

    _shared: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, StopSignals._Installed]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError(
                "signal handlers can be installed only in the main thread: pass stopping=, an asyncio.Event that ends "
                "the consumer when it is set"
            )
        loop = asyncio.get_running_loop()
        installed = self._shared.get(loop)
        if installed is None:
            installed = self._shared[loop] = self._Installed(loop)
        installed.events.add(self.event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        installed = self._shared[loop]
        installed.events.discard(self.event)
        if not installed.events:
            del self._shared[loop]
            installed.remove(loop)

    class _Installed:
        """The handlers of one event loop."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.events: set[asyncio.Event] = set()
            self._before: dict[signal.Signals, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
            for number in SIGNALS:
                loop.add_signal_handler(number, self._stop)

        def remove(self, loop: asyncio.AbstractEventLoop) -> None:
            for number, before in self._before.items():
                loop.remove_signal_handler(number)
                # None is a handler that was not installed from Python, which cannot be restored.
                if before is not None:
                    signal.signal(number, before)

        def _stop(self) -> None:
            for event in self.events:
                event.set()
