"""Samples the metrics of all processes, which need no token, for rates and charts that do not depend on open pages."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from event_trio.lifecycle import pause

from .processes import ApiProcess, Processes
from .transport import ApiTransport

SAMPLE_SECONDS = 5.0
KEPT = 180
"""A quarter of an hour of samples."""
INSTANCE_SECONDS = 60.0
"""An instance behind a load balancer counts until it has not been sampled for so long."""
STARTED = "process_start_time_seconds"
COUNTERS = {
    "outbox_events_total": "sent",
    "outbox_published_total": "published",
    "consumer_events_total": "handled",
    "consumer_delivery_latency_seconds_sum": "latency_sum",
    "consumer_delivery_latency_seconds_count": "latency_count",
}
"""The metrics that are sampled, and the rates that are made of them."""
GAUGES = {
    "outbox_calls_in_flight": "calls",
    "outbox_calls_in_flight_limit": "calls_limit",
    "outbox_broker_circuit_state": "circuit",
    "consumer_circuit_state": "circuit",
    "consumer_messages": "in_memory",
    "outbox_live_relays": "live_relays",
}
"""The gauges that are kept of the last sample: sums, except of circuits, of which the worst counts."""
OUTCOMES = {"outbox_events_total": frozenset({"accepted"})}


@dataclass(frozen=True, slots=True)
class RateSample:
    """Rates of one process at a time, in events a second by the names in `COUNTERS`."""

    at: float
    rates: Mapping[str, float]


@dataclass(slots=True)
class _Instance:
    """An instance of a process by its start time: its counters when it was sampled, and the rates until then."""

    at: float
    counters: Mapping[str, float]
    rates: Mapping[str, float]


class MetricSampler:
    """Reads `/metrics` of every process at an interval, and keeps the rates of a quarter of an hour. It is a loop."""

    name = "metric-sampler"

    def __init__(
        self,
        processes: Processes,
        transport: ApiTransport,
        *,
        interval: float = SAMPLE_SECONDS,
        starting_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._processes = tuple(processes)
        self._transport = transport
        self._interval = interval
        self._starting_seconds = starting_seconds
        self._clock = clock
        self._began_at = clock()
        self._instances: dict[str, dict[float, _Instance]] = {process.name: {} for process in self._processes}
        self._gauges: dict[str, tuple[float, Mapping[str, float]]] = {}
        self._samples: dict[str, deque[RateSample]] = {process.name: deque(maxlen=KEPT) for process in self._processes}

    async def run(self, stopping: asyncio.Event) -> None:
        """Sample until asked to stop."""
        while not await pause(stopping, self._interval):
            await self.sample()

    async def sample(self) -> None:
        """Take one sample of every process. A process that does not answer has a gap."""
        await asyncio.gather(*(self._sample(process) for process in self._processes))

    def is_starting(self, process: str) -> bool:
        """Whether a process began to run so recently that what it lacks may come by itself.

        One that has not answered yet may be started together with the console.
        """
        instances = self._instances.get(process, {})
        newest = max(instances.items(), key=lambda found: found[1].at)[0] if instances else self._began_at
        return self._clock() - newest < self._starting_seconds

    def samples(self, process: str) -> tuple[RateSample, ...]:
        """The samples of a process, the oldest first."""
        return tuple(self._samples.get(process, ()))

    def rate(self, process: str, name: str) -> float | None:
        """The current rate; None until two samples were taken, or while the process does not answer."""
        samples = self._samples.get(process)
        if not samples or self._clock() - samples[-1].at > 3 * self._interval:
            return None
        return samples[-1].rates.get(name, 0.0)

    def gauges(self, process: str) -> Mapping[str, float]:
        """The gauges of one instance of a process by the names in `GAUGES`; empty while it does not answer."""
        at, found = self._gauges.get(process, (0.0, {}))
        return found if self._clock() - at <= 3 * self._interval else {}

    async def _sample(self, process: ApiProcess) -> None:
        text = await self._transport.text(process, "/metrics")
        if text is None:
            return
        try:
            started, counters, gauges = read_metrics(text)
        except ValueError:
            # Whatever answers there is no service of ours.
            return
        now, instances = self._clock(), self._instances[process.name]
        self._gauges[process.name] = (now, gauges)
        before = instances.get(started)
        rates: Mapping[str, float] = {}
        if before is not None and now > before.at:
            seconds = now - before.at
            rates = {
                name: max(0.0, value - before.counters.get(name, 0.0)) / seconds for name, value in counters.items()
            }
        instances[started] = _Instance(now, counters, rates)
        for key in [key for key, known in instances.items() if now - known.at > INSTANCE_SECONDS]:
            del instances[key]
        if before is not None:
            self._samples[process.name].append(RateSample(now, _sum(instances)))


def read_metrics(text: str) -> tuple[float, dict[str, float], dict[str, float]]:
    """The start time of the process, the sums of the sampled counters, and the gauges."""
    wanted = (STARTED, *COUNTERS, *GAUGES)
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    started = 0.0
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name == STARTED:
                started = sample.value
            elif (name := COUNTERS.get(sample.name)) is not None and _counts(sample.name, sample.labels):
                counters[name] = counters.get(name, 0.0) + sample.value
            elif (name := GAUGES.get(sample.name)) is not None and not math.isnan(sample.value):
                known = gauges.get(name, 0.0)
                gauges[name] = max(known, sample.value) if name == "circuit" else known + sample.value
    return started, counters, gauges


def _counts(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a series is of those that are counted: of the events sent, those that the broker accepted."""
    return name not in OUTCOMES or labels.get("outcome") in OUTCOMES[name]


def _sum(instances: Mapping[float, _Instance]) -> dict[str, float]:
    total: dict[str, float] = {}
    for instance in instances.values():
        for name, rate in instance.rates.items():
            total[name] = total.get(name, 0.0) + rate
    return total
