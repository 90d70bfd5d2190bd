"""Serves an application until a signal, and then exits with status 0."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ..lifecycle import pause
from ..settings import ProcessSettings

STARTUP_FAILED = 3


# uvicorn's own loop wakes ten times a second to see whether to exit, and uses every tenth time for the header `Date`.
TICK_SECONDS = 1.0
TICK = 10


class _Server(uvicorn.Server):
    """A uvicorn server that does not raise the signal again after the shutdown, and does not poll for it."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_exit = on_exit
        self._exit_requested: Callable[[], object] = _nothing

    async def main_loop(self) -> None:
        """Update the headers once a second, until a signal requests the exit."""
        requested, loop, counter = asyncio.Event(), asyncio.get_running_loop(), 0
        # The handler of a signal runs between any two instructions, and does not wake the event loop by itself.
        self._exit_requested = partial(loop.call_soon_threadsafe, requested.set)
        while not await self.on_tick(counter):
            counter += TICK
            await pause(requested, TICK_SECONDS)
        self._on_exit()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Request the exit."""
        super().handle_exit(sig, frame)
        self._exit_requested()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and take what exists by now, mostly modules, out of later garbage collections."""
        await super().startup(sockets)
        gc.freeze()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(app: FastAPI, settings: ProcessSettings) -> None:
    """Listen until SIGINT or SIGTERM; open requests get the drain time to finish.

    `app.state.on_exit`, if it exists, is called before that, and ends the requests that would not end by themselves.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        ),
        getattr(app.state, "on_exit", _nothing),
    )
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILED)


def _nothing() -> None:
    """Do nothing: the loop looks at the request before it waits."""
