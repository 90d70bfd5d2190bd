"""The metrics of a process show its loops, pools and circuit breakers as they are when they are scraped."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from event_trio.circuit_breaker import CircuitBreaker, CircuitBreakerOptions
from event_trio.database.connections import create_engine, create_pool
from event_trio.lifecycle import Supervisor
from event_trio.observability.runtime_metrics import DatabaseMetrics, LoopMetrics, watch_circuit
from event_trio.signals import Signals

URL = "postgresql://nobody@127.0.0.1/nothing"


class Failing:
    """A loop that fails at once, and then runs."""

    name = "failing"

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, stopping: asyncio.Event) -> None:
        self.runs += 1
        if self.runs == 1:
            raise RuntimeError
        await stopping.wait()


async def test_loops() -> None:
    registry, signals = CollectorRegistry(), Signals()
    supervisor = Supervisor([Failing()], signals=signals, observer=LoopMetrics(registry))
    label = {"loop": "failing"}
    assert registry.get_sample_value("service_loop_running", label) == 0
    assert registry.get_sample_value("service_loop_failures_total", label) == 0
    await supervisor.start()
    await signals.wait("loop.failed")
    assert registry.get_sample_value("service_loop_failures_total", label) == 1
    assert registry.get_sample_value("service_loop_running", label) == 0
    await supervisor.stop()


async def test_pools() -> None:
    registry = CollectorRegistry()
    metrics = DatabaseMetrics(registry)
    engine = create_engine(URL, application_name="api", pool_size=3, overflow=2)
    metrics.watch_engine("api", engine)
    metrics.watch_pool("relay", create_pool(URL, application_name="relay", max_size=6))
    for pool, limit in (("api", 5), ("relay", 6)):
        assert registry.get_sample_value("database_pool_connections_limit", {"pool": pool}) == limit
        for state in ("used", "idle"):
            labels = {"pool": pool, "state": state}
            assert registry.get_sample_value("database_pool_connections", labels) == 0
    await engine.dispose()


def test_the_clock_of_the_database_is_compared_with_the_middle_of_the_round_trip() -> None:
    registry = CollectorRegistry()
    DatabaseMetrics(registry).observe_clock(1010.0, 1000.0, 1004.0)
    assert registry.get_sample_value("database_clock_offset_seconds") == pytest.approx(8.0)


def test_circuits() -> None:
    registry, now = CollectorRegistry(), 0.0
    breaker = CircuitBreaker(CircuitBreakerOptions())
    watch_circuit(Gauge("circuit", "", registry=registry), lambda: breaker.state(now))
    assert registry.get_sample_value("circuit") == 0
    breaker.record_failure(now, "down")
    assert registry.get_sample_value("circuit") == 2
    now = 60.0
    assert registry.get_sample_value("circuit") == 1
