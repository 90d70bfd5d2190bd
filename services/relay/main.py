"""The relay as a process: `python -m services.relay.main`."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until everything is imported: see event_trio.service.run

from contextlib import AsyncExitStack
from importlib.util import find_spec

from fastapi import FastAPI

from event_trio.broker.aws import Aws, ensure_usable
from event_trio.broker.opened import find_broker
from event_trio.clock import SystemClock
from event_trio.errors import ConfigurationError
from event_trio.http.application import create_app
from event_trio.http.authorization import authenticator, requires_tokens
from event_trio.idempotency.metrics import IdempotencyMetrics
from event_trio.idempotency.response_store import ResponseStore
from event_trio.lifecycle import Loop
from event_trio.observability.metrics import new_registry
from event_trio.observability.runtime_metrics import DatabaseMetrics, LoopMetrics
from event_trio.operations_api import process
from event_trio.outbox.schema import KEYS
from event_trio.service import Lifecycle
from event_trio.service import run as run_service
from event_trio.signals import Signals

from .api import inspection, operations
from .api.problems import translation
from .api.readiness import checks
from .assembly import Parts, assemble
from .confirmation.sweeper import SweepThresholds
from .metrics import RelayMetrics
from .settings import AWS, OutboxSource, RelaySettings


def build(
    settings: RelaySettings, *, signals: Signals | None = None, thresholds: SweepThresholds | None = None
) -> FastAPI:
    """Build the relay's application. It connects at startup and waits for what is unavailable.

    Raises ConfigurationError if the settings contradict each other.
    """
    if settings.call_seconds > settings.lease_seconds * 2 / 3:
        raise ConfigurationError(
            f"CALL_SECONDS ({settings.call_seconds:g}) must be at most two thirds of LEASE_SECONDS "
            f"({settings.lease_seconds:g}), because a call that could outlast the lease is not begun; "
            "decrease CALL_SECONDS or increase LEASE_SECONDS"
        )
    _ensure_source_can_be_read(settings)
    registry, signals = new_registry(), signals or Signals(kept=0)
    metrics, database_metrics = RelayMetrics(registry), DatabaseMetrics(registry)
    responses = ResponseStore(KEYS, hours=settings.idempotency_hours, metrics=IdempotencyMetrics(registry))
    sweeps = thresholds or SweepThresholds(sweep=settings.sweep_seconds)

    async def create_parts(stack: AsyncExitStack) -> tuple[Parts, list[Loop]]:
        return await assemble(settings, metrics, database_metrics, signals, sweeps, responses, stack)

    known = authenticator(settings)
    clock = SystemClock()
    facts = process.ProcessFacts(
        name=f"{settings.topic} relay",
        kind="relay",
        clock=clock,
        started_at=clock.now(),
        topology_prefix=settings.names.prefix,
        aws_region=settings.aws_region,
        aws_endpoint_url=settings.aws_endpoint_url,
        publishes=settings.topic_name,
        consumes=None,
        authentication=requires_tokens(known),
    )
    lifecycle = Lifecycle(
        create_parts, drain_seconds=settings.drain_seconds, signals=signals, metrics=LoopMetrics(registry)
    )
    return create_app(
        title=f"Relay of {settings.topic}",
        description="Publishes recorded events to their topic, in order, and confirms that they arrived.",
        routers=[inspection.router, operations.router, process.router],
        authenticator=known,
        registry=registry,
        checks=checks(lambda: lifecycle.parts.readiness if lifecycle.parts else None, lifecycle.unhealthy_loops),
        lifespan=lifecycle,
        translation=translation(),
        state={
            "responses": responses,
            "operators": lambda: lifecycle.parts.operators if lifecycle.parts else None,
            "process": facts,
        },
    )


def _ensure_source_can_be_read(settings: RelaySettings) -> None:
    if settings.source is OutboxSource.WAL and find_spec("psycopg") is None:
        raise ConfigurationError('SOURCE=wal needs psycopg: pip install "event-trio-relay[wal]", or use SOURCE=table')


async def _ensure_startable(settings: RelaySettings) -> None:
    if settings.broker != AWS:
        find_broker(settings.broker)
        return
    await ensure_usable(Aws(settings.aws_region, settings.aws_endpoint_url))


def run() -> None:
    """Serve until SIGTERM or SIGINT."""
    run_service("relay", RelaySettings, build, _ensure_startable)


if __name__ == "__main__":
    run()
