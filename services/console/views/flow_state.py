"""How each part of the flow is: its level, its lines, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from event_trio.catalog.flow import FlowQueue

from ..api_clients.samples import MetricSampler
from .links import PageLinks
from .observation import LATE_SECONDS, ObservedProcess, ObservedSystem, counted

BROKER_CHECKS = frozenset({"broker", "topic"})
CONFIRMATION_CHECKS = frozenset({"publish-check", "broker-identity"})


@dataclass(frozen=True, slots=True)
class StateLine:
    """A line of text: the key of a text, and its values."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ElementState:
    """The state of a part: `ok`, `warn`, `bad` (stuck) or `unknown`. `rate` is in events a second."""

    level: str
    lines: tuple[StateLine, ...] = ()
    href: str | None = None
    rate: float | None = None
    latency_ms: float | None = None

    def unless(self, process: ObservedProcess | None) -> ElementState:
        """The state; not known while the process is starting, of a part that is stuck otherwise."""
        passes = self.level == "bad" and process is not None and process.is_starting
        return replace(self, level="unknown") if passes else self


class FlowStates:
    """The states of all parts, from the answers of the processes and their sampled rates."""

    def __init__(self, seen: ObservedSystem, sampler: MetricSampler, links: PageLinks) -> None:
        self._seen = seen
        self._sampler = sampler
        self._links = links

    def service(self, name: str) -> ElementState:
        """A service that publishes."""
        seen, href = self._seen.service(name), self._links.relay(name)
        if seen is None:
            return ElementState("unknown", href=href)
        level = {"ready": "ok", "degraded": "warn"}.get(seen.status, "bad")
        return ElementState(level, (StateLine(f"state.{seen.status}"),), href).unless(seen)

    def outbox(self, service: str) -> ElementState:
        """The outbox of a service, as its relay shows it."""
        relay, href = self._seen.relay_of(service), self._links.outbox(f"{service}-relay")
        state = relay.state.body if relay else {}
        if not state:
            return ElementState("unknown", (StateLine("flow.unknown"),), href)
        lines = [StateLine("flow.pending", {"count": _text(state["pending"])})]
        held, late = counted(state["held_groups"]), state["oldest_pending_seconds"] or 0
        level = "ok"
        if state["paused"]:
            level, lines = "warn", [*lines, StateLine("flow.paused")]
        elif held:
            level, lines = "bad", [*lines, StateLine("flow.held", {"count": _text(state["held_groups"])})]
        elif state["replay"]:
            lines.append(StateLine("flow.replaying", {"percent": round(100 * state["replay"]["progress"])}))
        elif counted(state["pending"]):
            level = "bad" if late > LATE_SECONDS and relay and not relay.is_starting else "ok"
            lines.append(StateLine("flow.oldest", {"seconds": late}))
        return ElementState(level, tuple(lines), href)

    def sending(self, service: str) -> ElementState:
        """From an outbox to its topic: what the relays do."""
        name = f"{service}-relay"
        relay, href = self._seen.relay_of(service), self._links.relay(name)
        state = relay.state.body if relay else {}
        rate = self._sampler.rate(name, "sent")
        if relay is not None and relay.is_away:
            return ElementState("bad", (StateLine("flow.no_answer"),), href).unless(relay)
        if relay is None or not state:
            return ElementState("unknown", (StateLine("flow.unknown"),), href, rate)
        lines = (StateLine("flow.relays", {"count": state["relays"]}),)
        late = (state["oldest_pending_seconds"] or 0) > LATE_SECONDS
        if state["paused"]:
            return ElementState("warn", lines, href, rate)
        stuck = not state["relays"] or bool(BROKER_CHECKS & set(relay.failing)) or (late and not state["replay"])
        return ElementState("bad" if stuck else "ok", lines, href, rate).unless(relay)

    def topic(self, service: str) -> ElementState:
        """A topic, and what came back through its publish check."""
        relay, href = self._seen.relay_of(service), self._links.catalog(f"topic-{service}")
        state = relay.state.body if relay else {}
        if relay is None or not state:
            return ElementState("unknown", href=href)
        broken = CONFIRMATION_CHECKS & set(relay.failing)
        lines = (StateLine("flow.unconfirmed", {"count": _text(state["unconfirmed"])}),)
        rate = self._sampler.rate(relay.process.name, "published")
        return ElementState("bad" if broken else "ok", lines, href, rate).unless(relay)

    def subscription(self, queue: FlowQueue) -> ElementState:
        """From a topic to a queue: the types that the filter lets through."""
        seen = self._seen.service(queue.process)
        if seen is None or seen.topology is None or not seen.topology.ok:
            return ElementState("unknown")
        topic = seen.topology.body.get("topic") or {}
        lost = topic.get("exists") is False or topic.get("subscriptions") == []
        types = len(queue.filtered_types) if queue.filtered_types is not None else len(queue.handlers)
        return ElementState("bad" if lost else "ok", (StateLine("flow.types", {"count": types}),)).unless(seen)

    def queue(self, consumer: str) -> ElementState:
        """The queue of a consumer."""
        seen, href = self._seen.service(consumer), self._links.relay(consumer)
        described = (seen.topology.body.get("queue") or {}) if seen and seen.topology else {}
        if not described:
            return ElementState("unknown", (StateLine("flow.unknown"),), href)
        if described.get("exists") is False:
            return ElementState("bad", (StateLine("flow.missing"),), href).unless(seen)
        waiting, running = described.get("messages"), described.get("in_flight")
        if waiting is None:
            return ElementState("unknown", (StateLine("flow.unknown"),), href)
        lines = (StateLine("flow.waiting", {"count": waiting}), StateLine("flow.in_flight", {"count": running}))
        return ElementState("ok", lines, href)

    def handling(self, consumer: str) -> ElementState:
        """From a queue to its handlers."""
        seen = self._seen.service(consumer)
        if seen is None or seen.is_away:
            return ElementState("bad", (StateLine("flow.no_answer"),)).unless(seen)
        stuck = bool(counted(seen.state.body.get("overdue"))) or "queue" in seen.failing
        rate = self._sampler.rate(consumer, "handled")
        return ElementState("bad" if stuck else "ok", rate=rate, latency_ms=self._latency(consumer)).unless(seen)

    def subscriber(self, consumer: str) -> ElementState:
        """A service that handles events."""
        seen = self._seen.service(consumer)
        if seen is None or not seen.state.body:
            away = seen is None or seen.is_away
            line = StateLine("state.away" if away else "flow.unknown")
            return ElementState("bad" if away else "unknown", (line,)).unless(seen)
        return self._subscriber(consumer, seen).unless(seen)

    def _subscriber(self, consumer: str, seen: ObservedProcess) -> ElementState:
        state = seen.state.body
        dead, overdue = counted(state["dead"]), counted(state["overdue"])
        waiting = counted(state["waiting"]) + counted(state["blocked"])
        lines = []
        if dead:
            lines.append(StateLine("flow.dead", {"count": _text(state["dead"])}))
        if waiting:
            lines.append(StateLine("flow.deferred", {"count": waiting}))
        href = self._links.dead_letters(consumer) if dead else self._links.deferred(consumer) if waiting else None
        level = "bad" if overdue else "warn" if dead else "ok"
        return ElementState(
            level, tuple(lines) or (StateLine("flow.nothing_waits"),), href or self._links.relay(consumer)
        )

    def _latency(self, consumer: str) -> float | None:
        """The mean time from an event to the commit of its handler, in milliseconds."""
        total, count = (self._sampler.rate(consumer, name) for name in ("latency_sum", "latency_count"))
        return round(1000 * total / count, 1) if total is not None and count else None


def _text(count: Mapping[str, object]) -> object:
    """A bounded count; a count of one is a number, because texts have a form for it."""
    return f"{count['value']:,}+" if count.get("at_least") else count["value"]
