"""Samples what a leak would let grow: memory, descriptors, threads, tasks, connections, and the sizes of tables."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg
import httpx

from tests.faults.actors import Actor
from tests.faults.series import Series
from tests.faults.system import System

CONNECTIONS = """
SELECT usename, count(*) FROM pg_stat_activity WHERE datname = ANY($1) AND usename IS NOT NULL GROUP BY usename
"""
BYTES_A_ROW = """
SELECT pg_table_size($1::regclass)::float8 / greatest(count, 1) AS table,
       pg_indexes_size($1::regclass)::float8 / greatest(count, 1) AS index, count
FROM (SELECT count(*) FROM {table}) AS rows
"""
LEAST_ROWS = 1000
"""In a table with fewer rows, what a row takes depends on pages that are not full yet."""
SIZE = "SELECT pg_total_relation_size($1::regclass)::float8 / 1024"
GROWING = {
    "orders": ("outbox_event", "orders", "order_history", "idempotency_key"),
    "sink": ("processed_message",),
}
"""Tables that keep their rows for longer than a soak lasts: what a row takes is flat."""
STEADY = {
    "orders": ("outbox_lane", "outbox_relay", "outbox_control"),
    "sink": ("deferred_message", "started_message"),
}
"""Tables whose rows are updated or deleted all the time: their size is flat."""
TASKS = re.compile(r"^service_asyncio_tasks ([\d.]+)$", re.MULTILINE)


class Sampler:
    """Takes a sample of everything at a time."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._began = time.monotonic()
        self.series: dict[str, Series] = {}

    async def sample(self) -> None:
        """Add a value to each series, except of what a fault makes unreachable at the moment."""
        for actor in self._system.actors:
            if pid := actor.pid:
                self._processes(actor, _status(pid), _descriptors(pid))
                with contextlib.suppress(httpx.HTTPError, OSError, ValueError):
                    self._add(f"{actor.name} tasks", "tasks", await self._tasks(actor))
        urls = {"orders": self._system.orders.url, "sink": self._system.sink.url}
        for database, url in urls.items():
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._database(database, url)

    def growing(self) -> Sequence[Series]:
        """What is not flat."""
        return [series for series in self.series.values() if not series.is_flat]

    def _processes(self, actor: Actor, status: Mapping[str, float], descriptors: float | None) -> None:
        if status and descriptors is not None:
            self._add(f"{actor.name} memory (MiB)", "memory", status["VmRSS"] / 1024)
            self._add(f"{actor.name} threads", "threads", status["Threads"])
            self._add(f"{actor.name} descriptors", "descriptors", descriptors)

    async def _tasks(self, actor: Actor) -> float:
        if not actor.serves:
            return float(Path(actor.environment["SINK_TASKS"]).read_text())
        async with actor.api() as api:
            found = TASKS.search((await api.get("/metrics")).text)
        if found is None:
            raise ValueError("no metric of tasks")
        return float(found[1])

    async def _database(self, name: str, url: str) -> None:
        connection = await asyncpg.connect(url, timeout=5.0)
        try:
            if name == "orders":
                for row in await connection.fetch(CONNECTIONS, [self._system.orders.name, self._system.sink.name]):
                    if row["usename"] != "postgres":
                        self._add(f"{row['usename']} connections", "connections", float(row["count"]))
            for table in GROWING[name]:
                row = await connection.fetchrow(BYTES_A_ROW.format(table=table), table)
                if row["count"] >= LEAST_ROWS:
                    self._add(f"{table} bytes a row", "bytes a row", row["table"])
                    self._add(f"indexes of {table}, bytes a row", "bytes a row", row["index"])
            for table in STEADY[name]:
                self._add(f"{table} (KiB)", "table size", await connection.fetchval(SIZE, table))
        finally:
            await connection.close(timeout=5.0)

    def _add(self, name: str, kind: str, value: float) -> None:
        series = self.series.setdefault(name, Series(name, kind))
        series.points.append((time.monotonic() - self._began, value))


def _status(pid: int) -> Mapping[str, float]:
    """Resident memory in KiB, and threads; empty when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.startswith(("VmRSS:", "Threads:")))
    found = {name: float(value.split()[0]) for name, value in pairs}
    return found if len(found) == 2 else {}


def _descriptors(pid: int) -> float | None:
    try:
        return float(len(list(Path(f"/proc/{pid}/fd").iterdir())))
    except OSError:
        return None
