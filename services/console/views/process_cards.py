"""Relays and consumers in detail: instances with their leases, lanes, calls, circuits, queues and handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api_clients.replies import Body
from ..api_clients.samples import MetricSampler
from .failure_policy import policy_lines
from .flow_state import StateLine
from .observation import ObservedProcess, ObservedSystem, counted

CIRCUITS = ("closed", "half_open", "open")
LANES_IN_ROW = 32
LANE = 12
SQUARE = "h10v10h-10z"
TONES = 6
"""So many relays have a colour of their own."""


@dataclass(frozen=True, slots=True)
class RelayInstance:
    """A relay of an outbox: how long it is silent, and when its lease expires."""

    number: int
    id: str
    alive: bool
    started_at: str
    heartbeat_at: str
    silent_seconds: float
    lease_seconds: float
    lanes: int

    @property
    def tone(self) -> str:
        """The class of its colour in the drawing of the lanes."""
        return f"tone-{self.number % TONES}" if self.alive else "tone-none"


@dataclass(frozen=True, slots=True)
class LanesOfRelay:
    """The lanes of one relay in the drawing, as the path of an SVG. `owner` is empty for lanes without a live relay."""

    owner: str
    tone: str
    path: str
    count: int


@dataclass(frozen=True, slots=True)
class ProcessCard:
    """What the page shows of one process. `facts` is `/v1/process`; gauges are those of one instance."""

    seen: ObservedProcess
    facts: Body
    gauges: Mapping[str, float]
    rates: Mapping[str, float | None]
    instances: tuple[RelayInstance, ...] = ()
    lanes: tuple[LanesOfRelay, ...] = ()
    lane_rows: int = 0
    publisher_sees: Mapping[str, float] | None = None
    """Of a relay that does not answer: what its publisher knows about the relays of the outbox."""

    @property
    def name(self) -> str:
        """The name of the process."""
        return self.seen.process.name

    @property
    def circuit(self) -> str | None:
        """The state of the circuit breaker of the broker, or of the consumer's handlers; None if it is unknown."""
        value = self.gauges.get("circuit")
        return CIRCUITS[int(value)] if value is not None and 0 <= value < len(CIRCUITS) else None

    @property
    def queues(self) -> tuple[Mapping[str, Any], ...]:
        """The queues of a consumer that were described."""
        body = self.seen.topology.body if self.seen.topology else {}
        names = ("queue", "dead_letter_queue", "undelivered_queue")
        return tuple(queue for name in names if (queue := body.get(name)) is not None)

    @property
    def handles(self) -> Sequence[tuple[str, tuple[StateLine, ...]]]:
        """The types that a consumer handles, each with its failure policy in words."""
        found = self.seen.topology.body.get("handles", ()) if self.seen.topology else ()
        return [(each["type"], policy_lines(each["failure_policy"])) for each in found]

    @property
    def waiting(self) -> int:
        """Deferred messages of a consumer that wait, due or blocked."""
        return counted(self.seen.state.body.get("waiting")) + counted(self.seen.state.body.get("blocked"))


def cards(seen: ObservedSystem, facts: Mapping[str, Body], sampler: MetricSampler) -> list[ProcessCard]:
    """A card for each process, the relays first."""
    ordered = sorted(seen.processes.values(), key=lambda each: not each.process.is_relay)
    return [_card(each, facts.get(each.process.name, {}), sampler) for each in ordered]


def _card(each: ObservedProcess, facts: Body, sampler: MetricSampler) -> ProcessCard:
    name = each.process.name
    gauges = sampler.gauges(name)
    if not each.process.is_relay:
        rates = {rate: sampler.rate(name, rate) for rate in ("handled", "latency_sum", "latency_count")}
        return ProcessCard(each, facts, gauges, rates)
    rates = {rate: sampler.rate(name, rate) for rate in ("sent", "published")}
    body = each.lanes.body if each.lanes else {}
    instances = tuple(_instance(number, relay) for number, relay in enumerate(body.get("relays", ())))
    lanes = _lanes(body.get("lanes", ()), {instance.id: instance for instance in instances})
    publisher = sampler.gauges(each.process.service) if each.is_away else None
    rows = -(-len(body.get("lanes", ())) // LANES_IN_ROW)
    return ProcessCard(each, facts, gauges, rates, instances, lanes, rows, publisher)


def _instance(number: int, relay: Mapping[str, Any]) -> RelayInstance:
    names = ("alive", "started_at", "heartbeat_at", "silent_seconds", "lease_seconds", "lanes")
    return RelayInstance(number, str(relay["relay_id"]), **{name: relay[name] for name in names})


def _lanes(lanes: Sequence[Mapping[str, Any]], owners: Mapping[str, RelayInstance]) -> tuple[LanesOfRelay, ...]:
    squares: dict[str, list[str]] = {}
    for place, lane in enumerate(lanes):
        owner = str(lane["owner"]) if lane["owner"] and lane["owner_alive"] else ""
        row, column = divmod(place, LANES_IN_ROW)
        known = owner if owner in owners else ""
        squares.setdefault(known, []).append(f"M{column * LANE + 1} {row * LANE + 1}{SQUARE}")
    return tuple(
        LanesOfRelay(owner, owners[owner].tone if owner else "tone-none", "".join(paths), len(paths))
        for owner, paths in squares.items()
    )
