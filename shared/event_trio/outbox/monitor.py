"""Looks after one's own outbox: what the publisher can tell of it while the relay says nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import asyncpg
import structlog

from ..clock import Clock, SystemClock
from ..database.connections import DATABASE_FAULTS, Pool, create_pool, transaction
from ..lifecycle import pause
from ..signals import Signals
from .metrics import OutboxMetrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
LOOK_SECONDS = 5.0
"""How long one look may take."""
STALE_SECONDS = 30.0
"""After so long without a look, what was seen is not shown any more."""
LATE_SECONDS = 60.0
"""An event that waits longer makes the publisher degraded."""
MOST = 5000
"""A backlog is not counted to its end every few seconds: the figure stops here."""
GRACE_SECONDS = 15.0
"""For so long a relay may be away that took its leave, or has not come yet. One that died had its lease."""
REPORT_SECONDS = 60.0
NAMESPACE = "event-trio"

# Statistics that are old promise a small backlog; reading all of it and sorting then looks cheap, and is not.
BY_INDEX = "SET LOCAL enable_sort = off"

# In the order of the index on what is not published, so that it costs the same whatever the table holds. Of a backlog
# above the bound only a part is looked at: the oldest that is known from an earlier look is asked for by its number.
BACKLOG = """
-- backlog: how much is not published, counted up to a bound, and which event waits longest
WITH waiting AS MATERIALIZED (
    SELECT e.id, e.recorded_at FROM outbox_event e WHERE e.published_at IS NULL AND e.held_at IS NULL
    ORDER BY e.lane, e.subject, e.sequence LIMIT $1
), known AS (
    SELECT e.id, e.recorded_at FROM outbox_event e
    WHERE e.id = $2 AND e.published_at IS NULL AND e.held_at IS NULL
), oldest AS (
    SELECT id, recorded_at FROM (SELECT * FROM waiting UNION ALL SELECT * FROM known) AS either
    ORDER BY recorded_at, id LIMIT 1
)
SELECT counted.events, oldest.id AS oldest,
       extract(epoch FROM clock_timestamp() - oldest.recorded_at)::float8 AS age
FROM (SELECT count(*) AS events FROM waiting) AS counted LEFT JOIN oldest ON true
"""

# A relay that leaves takes its row with it; one that dies leaves it behind.
RELAYS = """
-- relays: how many hold a lease, how long ago one was heard of, and whether an operator paused the outbox
SELECT count(*) FILTER (WHERE r.heartbeat_at > clock_timestamp() - r.lease_seconds * interval '1 second') AS live,
       extract(epoch FROM clock_timestamp() - max(r.heartbeat_at))::float8 AS heard,
       (SELECT c.paused_at IS NOT NULL FROM outbox_control c) AS paused
FROM outbox_relay r
"""


@dataclass(frozen=True, slots=True)
class OutboxObservation:
    """What was seen of an outbox; `live` is None where this role may not see the relays."""

    events: int = 0
    age: float = 0.0
    live: int | None = None
    heard: float | None = None
    paused: bool = False

    def trouble(self, *, alone_seconds: float) -> str | None:
        """What is amiss, in a sentence; None when nothing is. `alone_seconds` ago it had a relay, or was not seen."""
        if self.live == 0 and (self.heard is not None or alone_seconds > GRACE_SECONDS):
            heard = "none is registered" if self.heard is None else f"last heartbeat {self.heard:.0f} s ago"
            return "; ".join(filter(None, [f"no relay carries this outbox; {heard}", self._waiting()]))
        if self.age > LATE_SECONDS:
            paused = "; an operator paused the outbox" if self.paused else ""
            return f"the oldest event waits {self.age:.0f} s{paused}"
        return None

    def _waiting(self) -> str | None:
        if not self.events:
            return None
        many = "1 event waits" if self.events == 1 else f"{self.events} events wait"
        return f"{'at least ' if self.events >= MOST else ''}{many}, the oldest for {self.age:.0f} s"


class OutboxMonitor:
    """Counts what waits and looks who carries it, every few seconds, on a connection of its own.

    A loop for the supervisor and a check (not required) for the readiness page of whoever records events.
    `topic` is whose events these are; with `report` the figures go to the log as well, for CloudWatch's alarms.
    """

    name = "outbox"

    def __init__(
        self,
        url: str,
        metrics: OutboxMetrics,
        *,
        topic: str,
        report: bool = False,
        signals: Signals | None = None,
        clock: Clock | None = None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._url = url
        self._metrics = metrics
        self._topic = topic
        self._report = report
        self._signals = signals or Signals()
        self._clock = clock or SystemClock()
        self._every = every_seconds
        self._oldest: int | None = None
        self._sight: OutboxObservation | None = None
        self._seen_at = self._carried_at = self._clock.monotonic()
        self._reported_at = float("-inf")
        self._blind = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until asked to stop."""
        async with create_pool(self._url, application_name="outbox-monitor", max_size=1) as pool:
            while not stopping.is_set():
                await self.look(pool)
                await pause(stopping, self._every)

    async def check(self) -> str | None:
        """For the readiness page, which asks nobody: what the last look showed."""
        now = self._clock.monotonic()
        silent = now - self._seen_at
        if silent > STALE_SECONDS:
            return f"the outbox could not be looked at for {silent:.0f} s; the log says why"
        return self._sight.trouble(alone_seconds=now - self._carried_at) if self._sight else None

    async def look(self, pool: Pool) -> None:
        """Look once; a look that fails leaves what was seen before, for a while."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                sight = await self._carriers(pool, await self._backlog(pool))
        except DATABASE_FAULTS as error:
            log.warning("cannot look at the outbox", action="outbox.not_observed", error=type(error).__name__)
            if self._clock.monotonic() - self._seen_at > STALE_SECONDS:
                self._metrics.forget()
            return
        self._sight, self._seen_at = sight, self._clock.monotonic()
        if sight.live:
            self._carried_at = self._seen_at
        self._show(sight)
        self._signals.emit("outbox.observed", events=sight.events, live=sight.live)

    async def _backlog(self, pool: Pool) -> OutboxObservation:
        async with transaction(pool) as connection:
            await connection.execute(BY_INDEX)
            row = await connection.fetchrow(BACKLOG, MOST, self._oldest)
        self._oldest = row["oldest"]
        return OutboxObservation(events=row["events"], age=max(0.0, row["age"] or 0.0))

    async def _carriers(self, pool: Pool, sight: OutboxObservation) -> OutboxObservation:
        try:
            async with transaction(pool) as connection:
                row = await connection.fetchrow(RELAYS)
        except (
            asyncpg.InsufficientPrivilegeError,
            asyncpg.UndefinedTableError,
            asyncpg.UndefinedColumnError,
        ) as error:
            # An older database, or a role of somebody's own: the backlog can be seen all the same.
            if not self._blind:
                log.warning(
                    "cannot see the relays of the outbox; run the migrations",
                    action="outbox.relays_hidden",
                    error=type(error).__name__,
                )
            self._blind = True
            return sight
        self._blind = False
        return replace(sight, live=row["live"], heard=row["heard"], paused=bool(row["paused"]))

    def _show(self, sight: OutboxObservation) -> None:
        nothing = float("nan")
        shown = {
            self._metrics.events: sight.events,
            self._metrics.oldest: sight.age,
            self._metrics.relays: nothing if sight.live is None else sight.live,
            self._metrics.heard: nothing if sight.heard is None else sight.heard,
        }
        for gauge, value in shown.items():
            gauge.set(value)
        if self._report and self._clock.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._reported_at = self._clock.monotonic()
            self._log(sight)

    def _log(self, sight: OutboxObservation) -> None:
        """One line in the embedded metric format, of which CloudWatch Logs makes metrics by itself."""
        figures = {"outbox_unpublished_events": sight.events, "outbox_oldest_unpublished_age_seconds": sight.age}
        if sight.live is not None:
            figures["outbox_live_relays"] = sight.live
        metrics = [{"Name": name, "Unit": "Seconds" if name.endswith("seconds") else "Count"} for name in figures]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["TopicName"]], "Metrics": metrics}
        log.info(
            "outbox observed",
            action="outbox.observed",
            TopicName=self._topic,
            _aws={"Timestamp": int(self._clock.now().timestamp() * 1000), "CloudWatchMetrics": [directive]},
            **figures,
        )
