"""Polls services for what happens to events; a service that is away is polled until it returns."""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.cli.errors import CommandFailed, NotFound, WrongService
from tools.cli.processes import Process

POLL_SECONDS = 1.0
AWAY_SECONDS = 3.0
"""How long after a failure a service is polled again."""
OVERLAP = timedelta(seconds=30)
"""A transaction may commit after others that began later, and an event changes after it was recorded."""
WAIT_SECONDS = 0.2
TOGETHER_SECONDS = 0.2
"""Steps that arrive within this time are put in the order of their times."""
PAGES = 5
"""At most so many pages of 100 rows are read at once, so that a poll stays cheap under load."""
REMEMBERED = 20_000
"""So many steps are remembered, so that none is shown twice."""


@dataclass(frozen=True)
class Step:
    """Something that happened to an event at a service."""

    at: datetime
    service: str
    name: str
    event_id: str
    type: str
    subject: str
    milliseconds: float | None
    """Since the event was recorded, if this service recorded it."""
    detail: str = ""


@dataclass(frozen=True)
class Notice:
    """A remark about a service: it is away, it is back, or steps were skipped."""

    text: str


class Feed:
    """The steps of all services since a time. Iterate over `steps`; it ends after `stop`."""

    def __init__(self, processes: Iterable[Process], *, since: datetime, criteria: Mapping[str, str | None]) -> None:
        """`criteria` are `subject` and `type`."""
        self._since = since
        self._criteria = criteria
        self._arrived: queue.Queue[list[Step] | Notice] = queue.Queue(maxsize=100)
        self._stopping = threading.Event()
        # A daemon thread for each service, so that one that hangs delays neither the others nor the end.
        for process in processes:
            threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def stop(self) -> None:
        """End the iteration."""
        self._stopping.set()

    def steps(self, *, seconds: float | None = None) -> Iterator[Step | Notice]:
        """Yield what happens, for so many seconds or without an end."""
        deadline = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
        while not self._stopping.is_set() and (deadline is None or datetime.now(UTC) < deadline):
            arrived = self._next()
            yield from (each for each in arrived if isinstance(each, Notice))
            steps = [step for each in arrived if not isinstance(each, Notice) for step in each]
            yield from sorted(steps, key=lambda step: step.at)

    def _next(self) -> list[list[Step] | Notice]:
        """What arrived, of all services that were polled together; empty if nothing came soon."""
        found: list[list[Step] | Notice] = []
        with suppress(queue.Empty):
            found.append(self._arrived.get(timeout=WAIT_SECONDS))
            deadline = time.monotonic() + TOGETHER_SECONDS
            while (left := deadline - time.monotonic()) > 0:
                found.append(self._arrived.get(timeout=left))
        return found

    def _follow(self, process: Process) -> None:
        shown: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        since, is_away = self._since, False
        while not self._stopping.is_set():
            try:
                found, is_all = self._poll(process, since - OVERLAP)
            except CommandFailed as failure:
                if not is_away:
                    self._arrived.put(Notice(f"{process.name} is away, and is polled until it returns: {failure}"))
                is_away = True
                self._stopping.wait(AWAY_SECONDS)
                continue
            if is_away:
                self._arrived.put(Notice(f"{process.name} is back"))
                is_away = False
            if not is_all:
                self._arrived.put(Notice(f"{process.name}: more happened than is shown"))
            new = [step for step in found if step.at >= self._since and _is_new(step, shown)]
            if new:
                self._arrived.put(sorted(new, key=lambda step: step.at))
                since = max(since, *(step.at for step in new))
            self._stopping.wait(POLL_SECONDS)

    def _poll(self, process: Process, since: datetime) -> tuple[list[Step], bool]:
        """The steps since then; raises CommandFailed while the service is away."""
        recorded, all_recorded = self._read(process, "/v1/recorded-events", since, "recorded_at")
        processed, all_processed = self._read(process, "/v1/processed-messages", since, "processed_at")
        steps = [step for event in recorded for step in _published(process.name, event)]
        wanted = self._criteria.get("type")
        steps += [_processed(process.name, row) for row in processed if wanted is None or row["type"] == wanted]
        return steps, all_recorded and all_processed

    def _read(self, process: Process, path: str, since: datetime, field: str) -> tuple[list[dict[str, Any]], bool]:
        """The rows since then, newest first, and whether these are all."""
        params: dict[str, object] = {"subject": self._criteria.get("subject"), "limit": 100}
        if path == "/v1/recorded-events":
            params |= {"type": self._criteria.get("type"), "since": since.isoformat()}
        found: list[dict[str, Any]] = []
        for _ in range(PAGES):
            try:
                page = process.api.get(path, params)
            except (NotFound, WrongService):
                return [], True
            found += page["items"]
            params["cursor"] = page["next_cursor"]
            if page["next_cursor"] is None or (found and datetime.fromisoformat(found[-1][field]) < since):
                return found, True
        return found, False


def _is_new(step: Step, shown: OrderedDict[tuple[str, str, str], None]) -> bool:
    key = (step.event_id, step.name, step.at.isoformat())
    if key in shown:
        return False
    shown[key] = None
    if len(shown) > REMEMBERED:
        shown.popitem(last=False)
    return True


def _published(service: str, event: Mapping[str, Any]) -> Iterator[Step]:
    recorded = datetime.fromisoformat(event["recorded_at"])
    times = {"recorded": "recorded_at", "sent": "first_sent_at", "published": "first_published_at", "held": "held_at"}
    if event["republished"]:
        times |= {"sent again": "sent_at", "published again": "published_at"}
    for name, field in times.items():
        if event[field] is not None:
            at = datetime.fromisoformat(event[field])
            took = None if name == "recorded" else round((at - recorded).total_seconds() * 1000, 1)
            detail = event["held_reason"] or "" if name == "held" else ""
            yield Step(at, service, name, event["event_id"], event["type"], event["subject"], took, detail)


def _processed(service: str, row: Mapping[str, Any]) -> Step:
    deferred, name = row["deferred"], row["outcome"].replace("_", " ")
    detail = f"{deferred['reason']}: {deferred['error'] or ''}".removesuffix(": ") if deferred else ""
    at = datetime.fromisoformat(row["processed_at"])
    return Step(at, service, name, row["event_id"], row["type"] or "", row["subject"] or "", None, detail)
