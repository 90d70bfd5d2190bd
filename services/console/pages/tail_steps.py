"""What happens to events at all services: recorded, sent, published, handled, deferred; a call a service and second."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..api_clients.processes import ApiProcess
from ..api_clients.replies import ApiReply
from ..api_clients.system import SystemClient
from ..web.times import milliseconds_between, parse

POLL_SECONDS = 1.0
OVERLAP = timedelta(seconds=30)
"""A transaction may commit after others that began later, and an event changes after it was recorded."""
ROWS = 100
REMEMBERED = 5000
RECORDED, PROCESSED = "/v1/recorded-events", "/v1/processed-messages"
TIMES = {"recorded": "recorded_at", "sent": "first_sent_at", "published": "first_published_at", "held": "held_at"}


@dataclass(frozen=True, slots=True)
class TailFilter:
    """Which steps are shown; an empty criterion does not restrict."""

    service: str = ""
    subject: str = ""
    type: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The criteria that restrict."""
        found = {"service": self.service, "subject": self.subject, "type": self.type}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class EventStep:
    """Something that happened to an event at a service. `milliseconds` are those since it was recorded there."""

    at: datetime
    service: str
    state: str
    event_id: str
    type: str
    subject: str
    milliseconds: float | None = None
    detail: str = ""

    @property
    def key(self) -> str:
        """The same for every reading of the step."""
        return f"{self.event_id}-{self.state}-{self.at.timestamp():.6f}".replace(".", "-")


@dataclass(frozen=True, slots=True)
class StepBatch:
    """New steps, the oldest first, and the services that did not answer or of which more happened than was read."""

    steps: Sequence[EventStep]
    failed: Sequence[ApiReply] = ()
    skipped: Sequence[str] = ()


class Tail:
    """The steps since a time, without repetitions."""

    def __init__(self, system: SystemClient, chosen: TailFilter, *, since: datetime) -> None:
        self._system = system
        self._chosen = chosen
        self._since = since
        self._shown: OrderedDict[str, None] = OrderedDict()
        processes = system.processes.services
        self._processes = tuple(each for each in processes if chosen.service in ("", each.name))
        self._newest = {(each.name, path): since for each in self._processes for path in (RECORDED, PROCESSED)}

    async def read(self, *paths: str) -> StepBatch:
        """Read these paths once at every service. Never raises: see `StepBatch.failed`."""
        calls = [(process, path) for path in paths for process in self._processes]
        replies = await asyncio.gather(*(self._ask(process, path) for process, path in calls))
        steps: list[EventStep] = []
        skipped: list[str] = []
        for (process, path), reply in zip(calls, replies, strict=True):
            found = [step for step in _steps(process, path, reply) if self._is_wanted(step)]
            steps += [step for step in found if self._is_new(step)]
            if not found:
                continue
            before = self._newest[process.name, path]
            if len(reply.body["items"]) == ROWS and all(step.at > before for step in found):
                skipped.append(process.name)
            self._newest[process.name, path] = max(before, *(step.at for step in found))
        gone = tuple(reply for reply in replies if not reply.ok and not reply.is_missing)
        return StepBatch(sorted(steps, key=lambda step: step.at), gone, tuple(dict.fromkeys(skipped)))

    async def follow(self, sleep: Callable[[float], Any] = asyncio.sleep) -> AsyncIterator[StepBatch]:
        """The steps as they happen: what was recorded, and what was processed, in turns."""
        while True:
            for path in (RECORDED, PROCESSED):
                yield await self.read(path)
                await sleep(POLL_SECONDS)

    async def _ask(self, process: ApiProcess, path: str) -> ApiReply:
        asked: dict[str, object] = {"subject": self._chosen.subject or None, "limit": ROWS}
        if path == RECORDED:
            newest = self._newest[process.name, path]
            asked |= {"type": self._chosen.type or None, "since": (newest - OVERLAP).isoformat()}
        return await self._system.get(process, path, asked, fresh_seconds=POLL_SECONDS / 2)

    def _is_wanted(self, step: EventStep) -> bool:
        return step.at >= self._since and self._chosen.type in ("", step.type)

    def _is_new(self, step: EventStep) -> bool:
        key = f"{step.service}-{step.key}"
        if key in self._shown:
            return False
        self._shown[key] = None
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        return True


def now() -> datetime:
    """The time by the console's clock."""
    return datetime.now(UTC)


def _steps(process: ApiProcess, path: str, reply: ApiReply) -> Iterator[EventStep]:
    for item in reply.body.get("items", ()):
        yield from _of_recorded(process, item) if path == RECORDED else _of_processed(process, item)


def _of_recorded(process: ApiProcess, item: Mapping[str, Any]) -> Iterator[EventStep]:
    times = TIMES if not item["republished"] else {**TIMES, "sent_again": "sent_at", "published_again": "published_at"}
    for state, field in times.items():
        at = parse(item[field])
        if at is not None:
            took = None if state == "recorded" else milliseconds_between(item["recorded_at"], item[field])
            detail = (item["held_reason"] or "") if state == "held" else ""
            yield EventStep(at, process.name, state, item["event_id"], item["type"], item["subject"], took, detail)


def _of_processed(process: ApiProcess, item: Mapping[str, Any]) -> Iterator[EventStep]:
    at, deferred = parse(item["processed_at"]), item["deferred"]
    if at is not None:
        detail = f"{deferred['reason']}: {deferred['error'] or ''}".removesuffix(": ") if deferred else ""
        yield EventStep(
            at, process.name, item["outcome"], item["event_id"], item["type"] or "", item["subject"] or "", None, detail
        )
