"""Serves an application until it is told to stop, and then ends with status 0: to be asked to stop is no failure."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ..settings import ServiceSettings

STARTUP_FAILED = 3


class _Server(uvicorn.Server):
    """uvicorn, but for one thing: it does not raise the signal that stopped it once more when all is shut down."""

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
    """Listen as the settings say until SIGINT or SIGTERM; open requests get the time of the drain to end."""
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
