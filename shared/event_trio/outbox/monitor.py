"""Monitors a publisher's own outbox, so that a missing relay is detected."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import asyncpg
import structlog

from ..clock import Clock, SystemClock
from ..database.connections import DATABASE_FAULTS, Pool, open_pool, transaction
from ..lifecycle import pause
from ..observability.runtime_metrics import DatabaseMetrics
from ..signals import Signals
from .metrics import OutboxMetrics

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
LOOK_SECONDS = 5.0
"""Deadline of one observation."""
STALE_SECONDS = 30.0
"""After this time without an observation, the metrics become unknown."""
LATE_SECONDS = 60.0
"""An unpublished event older than this makes the publisher degraded."""
MOST = 5000
"""Counting stops at this many events, so that it stays cheap."""
GRACE_SECONDS = 15.0
"""How long an outbox may be without a relay, after one left or before the first started."""
REPORT_SECONDS = 60.0
NAMESPACE = "event-trio"

# With outdated statistics the planner expects a small backlog and would sort all of it.
BY_INDEX = "SET LOCAL enable_sort = off"

# In the order of the index of unpublished events, so that it costs the same whatever the size of the table. Of a
# backlog above the bound only a part is read, so the oldest event of the last observation is looked up by its id, too.
BACKLOG = """
-- backlog: unpublished events, counted up to a bound, and the oldest of them
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
SELECT counted.events, oldest.id AS oldest, extract(epoch FROM clock_timestamp())::float8 AS clock,
       extract(epoch FROM clock_timestamp() - oldest.recorded_at)::float8 AS age
FROM (SELECT count(*) AS events FROM waiting) AS counted LEFT JOIN oldest ON true
"""

# A relay that stops deletes its row; one that dies leaves it.
RELAYS = """
-- relays: how many have a valid lease, the last heartbeat, and whether an operator paused the outbox
SELECT count(*) FILTER (WHERE r.heartbeat_at > clock_timestamp() - r.lease_seconds * interval '1 second') AS live,
       extract(epoch FROM clock_timestamp() - max(r.heartbeat_at))::float8 AS heard,
       (SELECT c.paused_at IS NOT NULL FROM outbox_control c) AS paused
FROM outbox_relay r
"""


@dataclass(frozen=True, slots=True)
class OutboxObservation:
    """One observation of an outbox; `live` is None if this role may not read the relays."""

    events: int = 0
    age: float = 0.0
    live: int | None = None
    heard: float | None = None
    paused: bool = False

    def trouble(self, *, alone_seconds: float) -> str | None:
        """Return a sentence about the problem, or None. `alone_seconds` is the time without a live relay."""
        if self.live == 0 and (self.heard is not None or alone_seconds > GRACE_SECONDS):
            heard = "none is registered" if self.heard is None else f"last heartbeat {self.heard:.0f} s ago"
            return "; ".join(filter(None, [f"no relay is running for this outbox; {heard}", self._waiting()]))
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
    """Observes the backlog and the relays of an outbox every few seconds, on a connection of its own.

    It is a loop for the supervisor and an optional readiness check for a service that records events. `topic` is the
    topic of the events; with `report`, the metrics are also logged, for CloudWatch's alarms.
    """

    name = "outbox"

    def __init__(
        self,
        url: str,
        metrics: OutboxMetrics,
        *,
        topic: str,
        report: bool = False,
        database_metrics: DatabaseMetrics | None = None,
        signals: Signals | None = None,
        clock: Clock | None = None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._url = url
        self._metrics = metrics
        self._topic = topic
        self._report = report
        self._database_metrics = database_metrics
        self._signals = signals or Signals()
        self._clock = clock or SystemClock()
        self._every = every_seconds
        self._oldest: int | None = None
        self._sight: OutboxObservation | None = None
        self._seen_at = self._carried_at = self._clock.monotonic()
        self._reported_at = float("-inf")
        self._blind = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Observe until asked to stop."""
        async with open_pool(self._url, application_name="outbox-monitor", max_size=1) as pool:
            while not stopping.is_set():
                await self.look(pool)
                await pause(stopping, self._every)

    async def check(self) -> str | None:
        """The readiness check: returns the problem that the last observation showed, or None."""
        now = self._clock.monotonic()
        silent = now - self._seen_at
        if silent > STALE_SECONDS:
            return f"the outbox could not be observed for {silent:.0f} s; see the log"
        return self._sight.trouble(alone_seconds=now - self._carried_at) if self._sight else None

    async def look(self, pool: Pool) -> None:
        """Observe once. After a failure, the last observation stays valid for a while."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                sight = await self._carriers(pool, await self._backlog(pool))
        except DATABASE_FAULTS as error:
            log.warning("cannot observe the outbox", action="outbox.not_observed", error=type(error).__name__)
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
            before = time.time()
            row = await connection.fetchrow(BACKLOG, MOST, self._oldest)
        if self._database_metrics is not None:
            self._database_metrics.observe_clock(row["clock"], before, time.time())
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
            # An older schema, or a role without these grants: the backlog can still be observed.
            if not self._blind:
                log.warning(
                    "cannot read the relays of the outbox; run the migrations",
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
        """Log one line in the embedded metric format, from which CloudWatch Logs extracts metrics."""
        values = {"outbox_unpublished_events": sight.events, "outbox_oldest_unpublished_age_seconds": sight.age}
        if sight.live is not None:
            values["outbox_live_relays"] = sight.live
        metrics = [{"Name": name, "Unit": "Seconds" if name.endswith("seconds") else "Count"} for name in values]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["TopicName"]], "Metrics": metrics}
        log.info(
            "outbox observed",
            action="outbox.observed",
            TopicName=self._topic,
            _aws={"Timestamp": int(self._clock.now().timestamp() * 1000), "CloudWatchMetrics": [directive]},
            **values,
        )
