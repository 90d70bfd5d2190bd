"""What shows a fault to somebody outside: log lines, readiness, metrics, responses and exit statuses.

None of it may show what is confidential.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.actors import Actor
from tests.faults.artefacts import confidential
from tests.faults.workload import Client

PROBE_SECONDS = 0.5
ANSWER_SECONDS = 2.0
"""How long a process may take to answer; one that is suspended does not."""
COUNTERS = {
    "outbox_republished_total": None,
    "outbox_publish_check_foreign_total": None,
    "service_loop_failures_total": None,
    "outbox_publish_calls_total": {"rejected", "throttled", "outage"},
}
"""Counters of failures, and the values of `outcome` that count as one; None if all do."""
GAUGES = (
    "outbox_broker_outage", "outbox_broker_circuit_state", "outbox_publish_check_broken", "outbox_broker_unaccepted",
    "outbox_waiting_groups", "outbox_held_groups",
)  # fmt: skip
"""Gauges that are zero while nothing is wrong."""
_WATCHED = (*COUNTERS, *GAUGES)
AT_EACH_START = "auth.disabled"
"""A warning of every start in this suite, which shows no fault."""


@dataclass
class Evidence:
    """What was observed since a fault began."""

    began: float = 0.0
    seen: set[str] = field(default_factory=set)
    """The places that showed it while it was watched."""
    disclosed: set[str] = field(default_factory=set)
    """The places that showed something confidential, and what."""
    _counted: dict[tuple[str, str], float] = field(default_factory=dict)

    def begin(self) -> None:
        """Observe from now on."""
        self.began = time.time()
        self.seen.clear()

    def add(self, where: str) -> None:
        """Note a place that showed the fault."""
        self.seen.add(where)

    async def watch(self, actors: Sequence[Actor]) -> None:
        """Look at the readiness and the metrics of the services again and again, as monitoring does."""
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as api:
            while True:
                for actor in actors:
                    if actor.serves:
                        await self._look_at(actor, api)
                await asyncio.sleep(PROBE_SECONDS)

    async def _look_at(self, actor: Actor, api: httpx.AsyncClient) -> None:
        try:
            readiness = await api.get(f"{actor.url}/readyz")
            metrics = await api.get(f"{actor.url}/metrics")
        except httpx.TimeoutException:
            if self.began:
                self.seen.add(f"no answer of {actor.name}")
            return
        except httpx.HTTPError:
            return  # it is being restarted; if it ended by itself, its exit status shows it
        self.disclosed |= {
            f"{answer.url.path} of {actor.name}: {what}"
            for answer in (readiness, metrics)
            for what in confidential(answer.text)
        }
        found = set(self._metrics(f"{actor.name}, start {actor.starts}", metrics.text))
        if readiness.status_code != 200 or '"degraded"' in readiness.text:
            found.add("readiness")
        if self.began:
            self.seen |= {f"{what} of {actor.name}" for what in found}

    def _metrics(self, process: str, text: str) -> Iterator[str]:
        """The metrics that show something; a counter does when it has grown since the last time."""
        # Parsing all metrics would take most of the time of this process.
        watched = "".join(line for line in text.splitlines(keepends=True) if line.startswith(_WATCHED))
        for family in text_string_to_metric_families(watched):
            for sample in family.samples:
                if sample.name in GAUGES and sample.value > 0:
                    yield f"metric {sample.name}"
                if sample.name not in COUNTERS:
                    continue
                outcomes = COUNTERS[sample.name]
                if outcomes is not None and sample.labels.get("outcome") not in outcomes:
                    continue
                key = (process, f"{sample.name}{sorted(sample.labels.items())}")
                before, self._counted[key] = self._counted.get(key, 0.0), sample.value
                if sample.value > before:
                    yield f"metric {sample.name}"

    def found(self, actors: Iterable[Actor], clients: Iterable[Client]) -> set[str]:
        """The places that showed something."""
        return self.seen | set(self._responses(clients)) | set(self._processes(actors))

    def _responses(self, clients: Iterable[Client]) -> Iterator[str]:
        for client in clients:
            for at, status in client.rejections:
                if at >= self.began:
                    yield f"response {status} of the order service"

    def _processes(self, actors: Iterable[Actor]) -> Iterator[str]:
        for actor in actors:
            for line in actor.lines(self.began):
                if line.get("action") != AT_EACH_START:
                    yield f"log of {actor.name}: {line.get('action')}"
            if any(at >= self.began for at, _ in actor.ends):
                yield f"exit status of {actor.name}"
