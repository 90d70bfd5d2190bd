"""The journey of one subject: its events as timelines, what caused them, and what is still expected."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from event_trio.catalog.flow import Flow
from event_trio.catalog.journey import EventNode, EventRecord, Leg, tree

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply, failed
from ..api_clients.system import SystemClient

PAGE = 100
MOST_PAGES = 5
BAR = 240
"""The width of a bar that lasts as long as the whole event."""
WAITING = frozenset({"not sent yet", "not confirmed yet", "not handled yet"})
BAD = frozenset({"dead letter", "held", "discarded", "failure published"})
WARN = frozenset({"deferred", "handled stale", "skipped stale", "hold", "pause"})


@dataclass(frozen=True, slots=True)
class TimelineLeg:
    """A step of an event: where its bar begins and how wide it is, if its duration is known."""

    leg: Leg
    level: str
    x: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An event with its steps. `depth` is its distance from the event that caused all above it."""

    record: EventRecord
    depth: int
    legs: tuple[TimelineLeg, ...]
    level: str
    is_compensation: bool
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class SubjectJourney:
    """All events of a subject, in the order in which they were caused."""

    subject: str
    events: tuple[TimelineEvent, ...]
    failed: tuple[ApiReply, ...]
    is_complete: bool
    """Whether all events are shown; the newest are, if there are more than a page can hold."""

    @property
    def level(self) -> str:
        """`bad` if an event is stuck, `info` while one is on its way, otherwise `ok`."""
        levels = {event.level for event in self.events}
        return next((level for level in ("bad", "warn", "info") if level in levels), "ok")

    @property
    def milliseconds(self) -> float | None:
        """From the first time of the journey to the last."""
        times = [each.leg.at for event in self.events for each in event.legs if each.leg.at is not None]
        return (max(times) - min(times)).total_seconds() * 1000 if times else None


async def journey(system: SystemClient, subject: str, flow: Flow) -> SubjectJourney:
    """Read what every process knows about a subject: one call for each list of a process."""
    services, relays = system.processes.services, system.processes.relays
    recorded, processed, actions, audits = await asyncio.gather(
        asyncio.gather(*(_pages(system, each, "/v1/recorded-events", {"subject": subject}) for each in services)),
        asyncio.gather(*(_pages(system, each, "/v1/processed-messages", {"subject": subject}) for each in services)),
        asyncio.gather(*(_pages(system, each, "/v1/operator-actions", {"group": subject}) for each in services)),
        asyncio.gather(*(_pages(system, each, "/v1/outbox/audit", {"subject": subject}) for each in relays)),
    )
    lists = [*recorded, *processed, *actions, *audits]
    records = _records(recorded, processed, actions, audits)
    replies = [each.reply for each in lists]
    return SubjectJourney(
        subject, journey_events(records, flow), failed(replies), all(each.is_complete for each in lists)
    )


def journey_events(records: Iterable[EventRecord], flow: Flow) -> tuple[TimelineEvent, ...]:
    """The events in the order in which they were caused, each with its steps."""
    return tuple(_flattened(tree(records), flow, set(), 0))


@dataclass(frozen=True, slots=True)
class _Items:
    """The items of a list of one process."""

    process: ApiProcess
    reply: ApiReply
    items: tuple[Mapping[str, Any], ...] = ()
    is_complete: bool = True


async def _pages(system: SystemClient, process: ApiProcess, path: str, params: Mapping[str, str]) -> _Items:
    items: list[Mapping[str, Any]] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        reply = await system.get(process, path, {**params, "limit": PAGE, "cursor": cursor})
        items += reply.body.get("items", ())
        cursor = reply.body.get("next_cursor")
        if not reply.ok or cursor is None:
            return _Items(process, reply, tuple(items))
    return _Items(process, reply, tuple(items), is_complete=False)


@dataclass(slots=True)
class _Collected:
    """What is known about one event while the lists are merged."""

    publisher: str = ""
    recorded: Mapping[str, Any] | None = None
    processed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    actions: dict[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    audit: tuple[Mapping[str, Any], ...] = ()


def _records(
    recorded: Iterable[_Items], processed: Iterable[_Items], actions: Iterable[_Items], audits: Iterable[_Items]
) -> list[EventRecord]:
    known: dict[str, _Collected] = {}
    for each in recorded:
        for item in each.items:
            found = known.setdefault(item["event_id"], _Collected())
            found.publisher, found.recorded = each.process.name, item
    for each in processed:
        for item in each.items:
            known.setdefault(item["event_id"], _Collected()).processed[each.process.name] = item
    for each in actions:
        for item in each.items:
            if (about := known.get(item["event_id"])) is not None:
                name = each.process.name
                about.actions[name] = (*about.actions.get(name, ()), item)
    for each in audits:
        for item in each.items:
            # A change of the whole group concerns each of its events.
            ids = [item["event_id"]] if item["event_id"] else list(known)
            for id in ids:
                if (changed := known.get(id)) is not None and changed.publisher == each.process.service:
                    changed.audit = (*changed.audit, item)
    return [
        EventRecord(id, each.publisher, each.recorded, each.processed, each.actions, each.audit)
        for id, each in known.items()
    ]


def _flattened(nodes: Iterable[EventNode], flow: Flow, failures: set[str], depth: int) -> Iterable[TimelineEvent]:
    for node in nodes:
        yield _event(node, flow, failures, depth)
        type = str(node.record.known("type") or "")
        caused_failures = {node.record.event_id} if type.endswith("failed") else set()
        yield from _flattened(node.caused, flow, caused_failures, depth + 1)


def _event(node: EventNode, flow: Flow, failures: set[str], depth: int) -> TimelineEvent:
    legs = (*node.legs, *_expected(node.record, flow))
    times = [leg.at for leg in legs if leg.at is not None]
    begin, end = (min(times), max(times)) if times else (None, None)
    placed = tuple(_placed(leg, begin, end) for leg in legs)
    levels = {each.level for each in placed}
    level = next((each for each in ("bad", "warn", "info") if each in levels), "ok")
    # An operator resolved what was stuck: the last step tells.
    if node.record.processed and level in ("bad", "warn") and not _is_stuck(node.record):
        level = "ok"
    milliseconds = (end - begin).total_seconds() * 1000 if begin and end else None
    compensates = node.record.known("causation_id") in failures
    return TimelineEvent(node.record, depth, placed, level, compensates, milliseconds)


def _is_stuck(record: EventRecord) -> bool:
    held = record.recorded is not None and record.recorded["state"] == "held"
    return held or any(row.get("deferred") or row["outcome"] in _TERMINAL for row in record.processed.values())


_TERMINAL = frozenset({"dead_letter", "discarded", "failure_published", "deferred"})


def _expected(record: EventRecord, flow: Flow) -> Iterable[Leg]:
    """A step for each subscriber whose filter lets the event through, and that has not handled it."""
    if record.recorded is None:
        return
    type = record.recorded["type"]
    for queue in flow.queues:
        lets_through = queue.filtered_types is None or type in queue.filtered_types
        if queue.handlers and lets_through and queue.process not in record.processed:
            owner = next((event.owner for event in flow.events if event.type == type), None)
            topic = next((service.topic for service in flow.services if service.name == owner), None)
            if topic == queue.topic:
                yield Leg("not handled yet", queue.process, None)


def _placed(leg: Leg, begin: datetime | None, end: datetime | None) -> TimelineLeg:
    level = "bad" if leg.name in BAD else "warn" if leg.name in WARN else "info" if leg.name in WAITING else "ok"
    placed = TimelineLeg(leg, level)
    took = leg.milliseconds or 0.0
    if leg.at is None or begin is None or end is None or took <= 0 or end == begin:
        return placed
    whole = (end - begin).total_seconds() * 1000
    start = (leg.at - begin).total_seconds() * 1000 - took
    return replace(placed, x=round(max(0.0, start) / whole * BAR, 1), width=round(max(2.0, took / whole * BAR), 1))
