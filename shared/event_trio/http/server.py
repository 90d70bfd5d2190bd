"""Serves an application until a signal, and then exits with status 0."""

from __future__ import annotations

import gc
import math
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ..settings import ServiceSettings

STARTUP_FAILED = 3


class _Server(uvicorn.Server):
    """A uvicorn server that does not raise the signal again after the shutdown."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and take what exists by now, mostly modules, out of later garbage collections."""
        await super().startup(sockets)
        gc.collect()
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


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Listen until SIGINT or SIGTERM; open requests get the drain time to finish."""
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        )
    )
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILED)
