"""The journey of one event as legs with their times, and events as a tree by what caused them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Record = Mapping[str, Any]

OUTCOMES = {
    "handled": "handled",
    "handled_stale": "handled late, after a later event of its subject",
    "skipped_stale": "skipped, because a later event of its subject was handled",
    "ignored": "ignored by its failure policy",
    "failure_published": "failed; the failure was published as an event",
    "deferred": "deferred",
    "dead_letter": "dead letter",
    "discarded": "discarded",
}


@dataclass(frozen=True)
class Leg:
    """A step of an event. `since` is the step from which `milliseconds` are counted."""

    name: str
    where: str
    at: datetime | None
    since: str = ""
    milliseconds: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class EventRecord:
    """What all services know about one event. Each mapping is an answer of a service."""

    event_id: str
    publisher: str = ""
    recorded: Record | None = None
    processed: Mapping[str, Record] = field(default_factory=dict)
    """The inbox row by the name of the service."""
    actions: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    """Operators' actions on the message by the name of the service."""
    audit: tuple[Record, ...] = ()
    """Operators' changes in the outbox."""

    def known(self, name: str) -> Any:
        """A field of the event, from whichever service knows it."""
        for record in (self.recorded, *self.processed.values()):
            if record is not None and record.get(name) is not None:
                return record[name]
        return None

    @property
    def began(self) -> str:
        """When it was recorded; else when it happened, or was first processed."""
        times = [record["processed_at"] for record in self.processed.values()]
        found = self.recorded["recorded_at"] if self.recorded else self.known("time") or min(times, default="")
        return str(found)


@dataclass(frozen=True)
class EventNode:
    """An event with its legs, and the events that it caused."""

    record: EventRecord
    legs: tuple[Leg, ...]
    caused: tuple[EventNode, ...]


DEEPEST = 50
"""An event that is further below the first one begins a tree of its own, so that no chain is too deep to be drawn."""


def tree(records: Iterable[EventRecord]) -> list[EventNode]:
    """The events as trees: an event is below the one that caused it, if that one is known. Oldest first."""
    by_id = {record.event_id: record for record in records}
    children: dict[str | None, list[EventRecord]] = {}
    for record in by_id.values():
        cause = record.known("causation_id")
        children.setdefault(cause if cause in by_id and cause != record.event_id else None, []).append(record)
    placed: set[str] = set()

    def node(record: EventRecord, depth: int = 0) -> EventNode:
        placed.add(record.event_id)
        caused = children.get(record.event_id, []) if depth < DEEPEST else []
        below = [each for each in _sorted(caused) if each.event_id not in placed]
        return EventNode(record, legs(record), tuple(node(each, depth + 1) for each in below))

    roots = [node(record) for record in _sorted(children.get(None, []))]
    # Events that name each other as their cause have no root, nor have those below the deepest.
    return roots + [node(record) for record in _sorted(by_id.values()) if record.event_id not in placed]


def legs(record: EventRecord) -> tuple[Leg, ...]:
    """The steps of an event in the order of their times; those that have not happened come last."""
    known = [*_published(record), *_changed(record)]
    for service in record.processed:
        known += _consumed(record, service)
    return tuple(sorted(known, key=lambda leg: (leg.at is None, leg.at.timestamp() if leg.at else 0.0)))


def _published(record: EventRecord) -> Iterable[Leg]:
    event, where = record.recorded, record.publisher
    if event is None:
        yield Leg("recorded", "", None, detail="in no outbox: pruned after its retention, or of another publisher")
        return
    recorded, sent, published = (_time(event[name]) for name in ("recorded_at", "first_sent_at", "first_published_at"))
    yield Leg("recorded", where, recorded)
    failed = f"{_attempts(event['attempts'])} before: {event['last_error']}" if event["attempts"] else ""
    if sent is not None:
        yield Leg("sent", where, sent, "recorded", _between(recorded, sent), failed)
    if published is not None:
        yield Leg("published", where, published, "sent", _between(sent, published))
    if event["republished"]:
        again, confirmed = _time(event["sent_at"]), _time(event["published_at"])
        times = "once" if event["republished"] == 1 else f"{event['republished']} times"
        yield Leg(
            "sent again", where, again, detail=f"replayed {times}" if again else f"replayed {times}; not sent yet"
        )
        if confirmed is not None:
            yield Leg("published again", where, confirmed, "sent again", _between(again, confirmed))
    if event["state"] == "held":
        why = event["held_reason"] or f"behind event {event['held_behind']}"
        yield Leg("held", where, _time(event["held_at"]), "recorded", _between(recorded, _time(event["held_at"])), why)
    elif sent is None:
        yield Leg("not sent yet", where, None, detail=failed)
    elif published is None:
        yield Leg("not confirmed yet", where, None)


def _consumed(record: EventRecord, service: str) -> Iterable[Leg]:
    row = record.processed[service]
    at, waits = _time(row["processed_at"]), row.get("deferred")
    event = record.recorded
    sent = _time(event["first_sent_at"]) if event else None
    detail = OUTCOMES.get(row["outcome"]) or str(row["outcome"])
    if waits is not None:
        detail = _waiting(waits)
    name = "dead letter" if waits and waits["status"] == "dead" else row["outcome"].replace("_", " ")
    yield Leg(name, service, at, "sent" if sent else "", _between(sent, at), "" if detail == name else detail)
    for action in record.actions.get(service, ()):
        detail = f"by {action['actor']}: {action['reason']}; {_attempts(action['attempts'])} before"
        yield Leg(action["action"].replace("_", " "), service, _time(action["done_at"]), detail=detail)


def _waiting(waits: Record) -> str:
    """Why a message is deferred or dead, and what happens next."""
    parts = [waits["reason"], _attempts(waits["attempts"])]
    if waits["due_at"]:
        parts.append(f"runs again at {waits['due_at']}")
    if waits["status"] == "blocked":
        parts.append("waits for an earlier event of its group")
    return "; ".join(filter(None, [*parts, waits["error"]]))


def _changed(record: EventRecord) -> Iterable[Leg]:
    for entry in record.audit:
        at = datetime.fromisoformat(entry["at"])
        # A change of the group concerns the events that waited at that time.
        if entry["event_id"] is None and not _waited(record.recorded, at):
            continue
        yield Leg(
            entry["action"], record.publisher, _time(entry["at"]), detail=f"by {entry['actor']}: {entry['reason']}"
        )


def _waited(event: Record | None, at: datetime) -> bool:
    """Whether an event was recorded and not sent at that time."""
    if event is None:
        return False
    sent = _time(event["first_sent_at"])
    return datetime.fromisoformat(event["recorded_at"]) <= at and (sent is None or at <= sent)


def _attempts(number: int) -> str:
    return "1 failed attempt" if number == 1 else f"{number} failed attempts" if number else "no failed attempt"


def _sorted(records: Iterable[EventRecord]) -> list[EventRecord]:
    return sorted(records, key=lambda record: (record.began, record.event_id))


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds() * 1000, 1) if start and end else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
