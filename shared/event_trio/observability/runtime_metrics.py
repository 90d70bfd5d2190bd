"""The metrics of a process itself, read when it is scraped: its loops, connections and circuit breakers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from ..database.connections import Pool

CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}


class LoopMetrics:
    """The background loops of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = Gauge("service_loop_running", "1 while the loop runs, else 0.", ["loop"], registry=registry)
        self.failures = Counter(
            "service_loop_failures",
            "Failures of the loop, after each of which it is restarted.",
            ["loop"],
            registry=registry,
        )
        self.tasks = Gauge("service_asyncio_tasks", "Tasks of asyncio that have not ended.", registry=registry)
        self.tasks.set_function(_count_tasks)

    def watch(self, loop: str, is_running: Callable[[], bool]) -> None:
        """Serve the metrics of a loop."""
        self.running.labels(loop).set_function(is_running)
        self.failures.labels(loop)

    def failed(self, loop: str) -> None:
        """Count a failure of the loop."""
        self.failures.labels(loop).inc()


class DatabaseMetrics:
    """The pools of connections to the database, and its clock."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "database_pool_connections", "Open connections, by use: used, idle.", ["pool", "state"], registry=registry
        )
        self.limit = Gauge(
            "database_pool_connections_limit", "The most connections that may be open.", ["pool"], registry=registry
        )
        self.clock_offset = Gauge(
            "database_clock_offset_seconds",
            "How far the clock of the database is ahead of that of this process; NaN until it is measured.",
            registry=registry,
        )
        self.clock_offset.set(math.nan)

    def watch_engine(self, name: str, engine: AsyncEngine) -> None:
        """Serve the metrics of an engine's pool."""
        from sqlalchemy.pool import QueuePool

        pool = engine.pool
        if isinstance(pool, QueuePool):
            self._watch(name, pool.checkedout, pool.checkedin, pool.size() + pool._max_overflow)

    def watch_pool(self, name: str, pool: Pool) -> None:
        """Serve the metrics of a pool of asyncpg."""
        self._watch(name, lambda: pool.get_size() - pool.get_idle_size(), pool.get_idle_size, pool.get_max_size())

    def observe_clock(self, database: float, before: float, after: float) -> None:
        """Record the clock of the database, read between two times of this process; all are seconds since the epoch."""
        self.clock_offset.set(database - (before + after) / 2)

    def _watch(self, name: str, used: Callable[[], float], idle: Callable[[], float], limit: float) -> None:
        self.connections.labels(name, "used").set_function(used)
        self.connections.labels(name, "idle").set_function(idle)
        self.limit.labels(name).set(limit)


def watch_circuit(gauge: Gauge, state: Callable[[], str]) -> None:
    """Serve the state of a circuit breaker: 0 closed, 1 half-open, 2 open."""
    gauge.set_function(lambda: CIRCUIT_STATES[state()])


def _count_tasks() -> float:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # whoever reads the metrics has no event loop
        return math.nan
