"""The process of every service: settings, logging, the application's lifecycle, and serving until a signal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Generic, TypeAlias, TypeVar

import structlog
from fastapi import FastAPI

from .errors import ConfigurationError
from .http.server import serve
from .lifecycle import Loop, Supervisor
from .observability import logging, spans
from .observability.runtime_metrics import LoopMetrics
from .settings import ProcessSettings, fail, load
from .signals import Signals

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=ProcessSettings)
P = TypeVar("P")

Assemble: TypeAlias = Callable[[AsyncExitStack], Awaitable[tuple[P, Sequence[Loop]]]]
"""Creates what exists only while the application runs, and the loops over it; the stack closes what it opened."""

NOT_STARTED = "not started"


def run(
    name: str, settings_type: type[S], build: Callable[[S], FastAPI], ensure_startable: Callable[[S], Awaitable[None]]
) -> None:
    """Read the settings, build the application, and serve it until SIGTERM or SIGINT.

    Settings that are missing, wrong or contradictory end the process with status 2 and a line for each.
    `ensure_startable` raises ConfigurationError for an environment in which the service could never work.

    The garbage collector, which a service disables before its imports, is enabled before it serves. Imported modules
    stay: looking for garbage among them takes a sixth of the processor time of a start, and they are left out of
    every later collection (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    settings = load(settings_type)
    logging.configure(name, settings.log_level, settings.log_format, final=True)

    async def check() -> None:
        await ensure_startable(settings)

    try:
        asyncio.run(check())
        app = build(settings)
        _start_tracing(name, settings)
    except ConfigurationError as error:
        fail(str(error))
    gc.freeze()
    gc.enable()
    try:
        serve(app, settings)
    finally:
        _stop_tracing()


def _start_tracing(name: str, settings: ProcessSettings) -> None:
    """Trace if there is a receiver. Otherwise OpenTelemetry is not imported, which would cost time and memory."""
    if settings.otel_exporter_otlp_endpoint is None:
        return
    try:
        from .observability.opentelemetry_tracer import otlp_tracer
    except ImportError as error:
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error}") from None
    continues = settings.trace_processing == "continue"
    name = settings.otel_service_name or name
    spans.install(otlp_tracer(name, settings.otel_exporter_otlp_endpoint, continues=continues))


def _stop_tracing() -> None:
    tracer = spans.tracer()
    spans.install(None)
    if tracer is not None:
        tracer.close()


class Lifecycle(Generic[P]):
    """The lifespan of an application: creates its parts at startup, runs its loops, and stops them within the drain.

    It is FastAPI's `lifespan`, and the source of the health checks that look at the parts.
    """

    def __init__(
        self, assemble: Assemble[P], *, drain_seconds: float, signals: Signals, metrics: LoopMetrics | None = None
    ) -> None:
        self._assemble = assemble
        self._drain_seconds = drain_seconds
        self._signals = signals
        self._metrics = metrics
        self._supervisor: Supervisor | None = None
        self.parts: P | None = None
        """The parts, while the application runs."""

    @asynccontextmanager
    async def __call__(self, app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            parts, loops = await self._assemble(stack)
            supervisor = Supervisor(
                loops, drain_seconds=self._drain_seconds, signals=self._signals, observer=self._metrics
            )
            self.parts, self._supervisor = parts, supervisor
            await supervisor.start()
            log.info("service started", action="service.started", title=app.title)
            try:
                yield
            finally:
                await supervisor.stop()
                self.parts = self._supervisor = None
                log.info("service stopped", action="service.stopped", title=app.title)

    def unhealthy_loops(self) -> str | None:
        """A sentence about the loops that are not running, or None."""
        return self._supervisor.unhealthy() if self._supervisor else NOT_STARTED

    def check(self, ask: Callable[[P], str | None]) -> Callable[[], Awaitable[str | None]]:
        """A health check that asks the parts; it fails before they exist."""

        async def answer() -> str | None:
            return ask(self.parts) if self.parts is not None else NOT_STARTED

        return answer
