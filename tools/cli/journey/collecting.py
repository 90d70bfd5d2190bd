"""Collects what every service knows about events: by id, subject, correlation or trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from event_trio.catalog.journey import EventRecord
from tools.cli.client import segment
from tools.cli.processes import Process, answering, together

MOST_EVENTS = 500
"""At most so many events of one subject, correlation or trace are shown."""
MOST_SUBJECTS = 20
"""The consumers' view is read for at most so many subjects."""
MOST_REPLAYS = 20
"""Who replayed an event is read for at most so many events."""
PAGES = 25
"""A search examines at most so many pages of 20,000 events in each outbox."""


@dataclass(frozen=True)
class Search:
    """What to search for; exactly one field but `since` is given."""

    event_id: str | None = None
    subject: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class Found:
    """The events, and whether there may be more."""

    records: list[EventRecord]
    is_complete: bool


class Collector:
    """Reads from all processes that answer."""

    def __init__(self, processes: list[Process]) -> None:
        self._services = answering(processes, relays=False)
        self._relays = answering(processes, relays=True)
        self._records: dict[str, EventRecord] = {}
        self._is_complete = True

    def collect(self, search: Search) -> Found:
        """The events with all that is known about them."""
        if search.event_id is not None:
            self._add_event(search.event_id)
        else:
            self._add_recorded(_criteria(search))
        subjects = [search.subject] if search.subject else self._known("subject")
        if len(subjects) > MOST_SUBJECTS:
            self._is_complete = False
        wanted = None if search.subject else set(self._records)
        if search.event_id is not None:
            self._add_caused(search.event_id)
            wanted = set(self._records)
        for subject in [*dict.fromkeys([*subjects, *self._known("subject")])][:MOST_SUBJECTS]:
            self._add_consumed(subject, wanted)
        self._add_replays()
        return Found(list(self._records.values()), self._is_complete)

    def _add_event(self, event_id: str) -> None:
        path = f"/v1/events/{segment(event_id)}"
        for service, answer in self._ask(self._services, lambda each: each.get(path)):
            if answer and answer["recorded"]:
                self._change(event_id, recorded=answer["recorded"], publisher=service.name)
            if answer and answer["processed"]:
                self._add_processed(service, answer["processed"])
        for relay, answer in self._ask(self._relays, lambda each: each.get(f"/v1/outbox/events/{segment(event_id)}")):
            # The relay also knows a discarded event, and who discarded it.
            if answer:
                publisher = relay.name.removesuffix("-relay")
                known = self._records.get(event_id)
                recorded = known.recorded if known and known.recorded else {**answer, "trace_id": None}
                self._change(event_id, recorded=recorded, publisher=publisher, audit=tuple(answer["audit"]))

    def _add_caused(self, event_id: str) -> None:
        """Add the events that an event caused, directly or not. They have its correlation id and are younger."""
        known = self._records.get(event_id)
        correlation, subject = (known.known("correlation_id"), known.known("subject")) if known else (None, None)
        if known is None:
            return
        before = set(self._records)
        if subject is not None:
            self._add_recorded({"subject": subject})
        if correlation is not None:
            self._add_recorded({"correlation_id": correlation, "since": known.began})
        family, grown = {event_id}, True
        while grown:
            causes = {id for id, record in self._records.items() if record.known("causation_id") in family}
            grown, family = not causes <= family, family | causes
        self._records = {id: record for id, record in self._records.items() if id in before | family}

    def _add_recorded(self, criteria: dict[str, str | None]) -> None:
        for service, events in self._ask(self._services, lambda each: self._recorded(each, criteria)):
            for event in events:
                self._change(event["event_id"], recorded=event, publisher=service.name)

    def _recorded(self, service: Process, criteria: dict[str, str | None]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(PAGES):
            page = service.get("/v1/recorded-events", {**criteria, "limit": 100, "cursor": cursor})
            if page is None:
                return found
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
            if len(found) >= MOST_EVENTS:
                break
        self._is_complete = False
        return found[:MOST_EVENTS]

    def _add_consumed(self, subject: str, wanted: set[str] | None) -> None:
        """Add what consumers did with the events of a subject, and what operators did; only of `wanted` events."""
        lists = (
            ("/v1/processed-messages", {"subject": subject}, self._services),
            ("/v1/operator-actions", {"group": subject}, self._services),
            ("/v1/outbox/audit", {"subject": subject}, self._relays),
        )
        for path, params, processes in lists:
            for process, items in self._ask(processes, _lister(path, params)):
                for item in items:
                    if item["event_id"] is None:
                        self._add_group_entry(subject, item)
                    elif wanted is None or item["event_id"] in wanted:
                        self._add_item(path, process, item)

    def _add_item(self, path: str, process: Process, item: dict[str, Any]) -> None:
        id = item["event_id"]
        if path == "/v1/processed-messages":
            self._add_processed(process, {**item, "actions": None})
        elif id in self._records and path == "/v1/operator-actions":
            actions = self._records[id].actions
            mine = {each["id"]: each for each in (*actions.get(process.name, ()), item)}
            self._change(id, actions={**actions, process.name: tuple(mine.values())})
        elif id in self._records:
            self._add_audit(id, item)

    def _add_replays(self) -> None:
        """Add who replayed an event: the audit has these entries by event, without a subject."""
        replayed = [id for id, record in self._records.items() if (record.recorded or {}).get("republished")]
        for id in replayed[:MOST_REPLAYS]:
            for _, items in self._ask(self._relays, _lister("/v1/outbox/audit", {"event_id": id})):
                for item in items:
                    self._add_audit(id, item)

    def _add_group_entry(self, subject: str, entry: dict[str, Any]) -> None:
        """A change of a whole group, such as its release, belongs to each event of the group."""
        for id, record in list(self._records.items()):
            if record.known("subject") == subject:
                self._add_audit(id, entry)

    def _add_audit(self, id: str, entry: dict[str, Any]) -> None:
        audit = {each["id"]: each for each in (*self._records[id].audit, entry)}
        self._change(id, audit=tuple(audit.values()))

    def _add_processed(self, service: Process, row: dict[str, Any]) -> None:
        id, actions = row["event_id"], row.pop("actions")
        known = self._records.get(id) or EventRecord(id)
        changed: dict[str, Any] = {"processed": {**known.processed, service.name: row}}
        if actions is not None:
            changed["actions"] = {**known.actions, service.name: tuple(actions)}
        self._change(id, **changed)

    def _change(self, id: str, **fields: Any) -> None:
        self._records[id] = replace(self._records.get(id) or EventRecord(id), **fields)

    def _known(self, name: str) -> list[str]:
        found = (record.known(name) for record in self._records.values())
        return [*dict.fromkeys(str(value) for value in found if value is not None)]

    def _ask(self, processes: list[Process], call: Any) -> Iterable[tuple[Process, Any]]:
        return zip(processes, together(processes, call), strict=True)


def _criteria(search: Search) -> dict[str, str | None]:
    names = ("subject", "correlation_id", "trace_id", "since")
    return {name: getattr(search, name) for name in names}


def _lister(path: str, params: dict[str, str]) -> Any:
    return lambda process: process.list(path, params, limit=MOST_EVENTS)
