"""Finds recorded events by what a person typed: an id of any kind, a type, or a part of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..api_clients.replies import ApiReply, failed
from ..api_clients.system import SystemClient

UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
TRACE = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?", re.IGNORECASE)
LISTED = 100
SHOWN = 50
MOST_PAGES = 3
LATEST_SECONDS = 2.0
"""While a person types a part of an id, the same latest events are looked through again."""
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
STATES = ("recorded", "sent", "published", "held")


@dataclass(frozen=True, slots=True)
class SearchCriteria:
    """What a person looks for; empty values do not restrict."""

    text: str = ""
    type: str = ""
    state: str = ""
    period: str = ""

    @property
    def since(self) -> str | None:
        """The earliest time, in the form of the API."""
        period = PERIODS.get(self.period)
        # To the minute, so that answers can be shared while a person types.
        at = (datetime.now(UTC) - period).replace(second=0, microsecond=0) if period else None
        return at.isoformat() if at else None


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event and the service that recorded or processed it."""

    service: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The newest events that match, and what they have in common.

    `kind` says as what the text was understood: `subject`, `event`, `correlation`, `trace`, `part` or `latest`.
    `is_complete` is false if there may be more.
    """

    kind: str
    events: tuple[FoundEvent, ...]
    failed: tuple[ApiReply, ...]
    is_complete: bool
    looked_at: int = 0
    """The most events of one service that were examined."""

    @property
    def subject(self) -> str | None:
        """The subject, if all events are of the same one."""
        subjects = {str(found.event["subject"]) for found in self.events}
        return next(iter(subjects)) if len(subjects) == 1 else None


class EventSearch:
    """A search over all services."""

    def __init__(self, system: SystemClient, criteria: SearchCriteria) -> None:
        self._system = system
        self._criteria = criteria
        self._replies: list[ApiReply] = []
        self._is_complete = True
        self._looked_at = 0

    async def run(self) -> SearchResult:
        """Find events: indexed lookups first, and searches without an index only if those find nothing."""
        text = self._criteria.text
        if not text:
            return self._result("latest", await self._list({}))
        if trace := TRACE.fullmatch(text):
            return self._result("trace", await self._list({"trace_id": trace[1].lower()}))
        if UUID_TEXT.fullmatch(text):
            return await self._by_id(text.lower())
        if found := await self._parts(text):
            return self._result("part", found)
        if found := await self._list({"subject": text}):
            return self._result("subject", found)
        return self._result("correlation", await self._list({"correlation_id": text}))

    async def _by_id(self, id: str) -> SearchResult:
        of_subject, event = await asyncio.gather(self._list({"subject": id}), self._event(id))
        if of_subject:
            return self._result("subject", of_subject)
        if event:
            return self._result("event", event)
        return self._result("correlation", await self._list({"correlation_id": id}))

    async def _event(self, id: str) -> list[FoundEvent]:
        """The event as its publisher or, if that has pruned it, its consumers know it."""
        replies = await self._system.ask(self._system.processes.services, f"/v1/events/{id}")
        self._replies += replies
        recorded = [
            FoundEvent(each.process.name, each.body["recorded"]) for each in replies if each.body.get("recorded")
        ]
        processed = [each for each in replies if each.body.get("processed")]
        others = [
            FoundEvent(
                each.process.name, {**row, "state": row["outcome"], "recorded_at": row["time"] or row["processed_at"]}
            )
            for each in processed
            for row in [each.body["processed"]]
            if row["subject"]
        ]
        return recorded or others[:1]

    async def _parts(self, text: str) -> list[FoundEvent]:
        """The latest events of which an id, the subject or the type contains the text."""
        latest = await self._list({}, fresh_seconds=LATEST_SECONDS)
        names = ("event_id", "subject", "type", "correlation_id", "trace_id")
        lowered = text.lower()
        return [found for found in latest if any(lowered in str(found.event.get(name) or "").lower() for name in names)]

    async def _list(self, params: Mapping[str, str], *, fresh_seconds: float = 0.9) -> list[FoundEvent]:
        services = self._system.processes.services
        lists = await asyncio.gather(*(self._of(service, params, fresh_seconds) for service in services))
        return [found for each in lists for found in each]

    async def _of(self, service: Any, params: Mapping[str, str], fresh_seconds: float) -> Iterable[FoundEvent]:
        """The events of one service, up to `LISTED` that match, of a bounded number of pages."""
        wanted = {**params, "type": self._criteria.type or None, "since": self._criteria.since, "limit": LISTED}
        found: list[FoundEvent] = []
        cursor: str | None = None
        looked_at = 0
        for _ in range(MOST_PAGES):
            reply = await self._system.get(
                service, "/v1/recorded-events", {**wanted, "cursor": cursor}, fresh_seconds=fresh_seconds
            )
            self._replies.append(reply)
            found += [FoundEvent(service.name, event) for event in reply.body.get("items", ()) if self._matches(event)]
            looked_at += len(reply.body.get("items", ()))
            cursor = reply.body.get("next_cursor")
            # Only a search that examines events one by one needs more pages than one.
            if cursor is None or len(found) >= SHOWN or not (self._criteria.state or params):
                break
        self._is_complete = self._is_complete and cursor is None
        self._looked_at = max(self._looked_at, looked_at)
        return found

    def _matches(self, event: Mapping[str, Any]) -> bool:
        return not self._criteria.state or event["state"] == self._criteria.state

    def _result(self, kind: str, found: list[FoundEvent]) -> SearchResult:
        newest = sorted(found, key=lambda each: str(each.event["recorded_at"]), reverse=True)
        complete = self._is_complete and len(newest) <= SHOWN
        return SearchResult(kind, tuple(newest[:SHOWN]), failed(self._replies), complete, self._looked_at)
