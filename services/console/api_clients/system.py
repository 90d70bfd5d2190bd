"""Reads and changes the system as one person, whose token every call carries."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlencode

from event_trio.observability.request_context import current_context

from .processes import ApiProcess, Processes
from .replies import ApiReply, Body
from .transport import ApiTransport

FRESH_SECONDS = 0.9
"""An answer is given to all pages of a person for so long: tabs that refresh at the same moment share it."""
SLOW_SECONDS = 10.0
"""What may be as old as this is given at once, even if it is older, and is read again for the next page: a description
of queues costs the service several calls of the broker, for which no page waits."""
STALE_SECONDS = 120.0
MOST_KEPT = 2000

Call: TypeAlias = tuple[ApiProcess, str, Mapping[str, Any]]
Key: TypeAlias = tuple[str, str, str, str]


class Reads:
    """The current reads: the same path of a process is read once at a time, and at most once a second for a person."""

    def __init__(self, transport: ApiTransport, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._monotonic = monotonic
        self._running: dict[Key, asyncio.Task[ApiReply]] = {}
        self._kept: dict[Key, tuple[float, ApiReply]] = {}

    async def read(
        self,
        token: str,
        call: Call,
        headers: Mapping[str, str],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        called: Callable[[str], None] = lambda _: None,
    ) -> ApiReply:
        """An answer that is at most `fresh_seconds` old; what may be old is at most `STALE_SECONDS` old.

        `called` gets the name of the process if this read makes a call.
        """
        process, path, params = call
        given = {name: value for name, value in params.items() if value is not None}
        key = (token, process.name, path, urlencode(sorted(given.items()), doseq=True))
        at, reply = self._kept.get(key, (0.0, None))
        age = self._monotonic() - at
        if reply is not None and age < fresh_seconds:
            return reply
        task = self._running.get(key)
        if task is None:
            called(process.name)
            task = asyncio.create_task(self._transport.read(process, path, given, headers))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        if reply is not None and reply.ok and fresh_seconds >= SLOW_SECONDS and age < STALE_SECONDS:
            return reply
        # A person who closes the page does not cancel the read of another tab.
        return await asyncio.shield(task)

    def forget(self, token: str) -> None:
        """Read everything again for a person, who has just changed something."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != token}

    def _finish(self, key: Key, done: asyncio.Task[ApiReply]) -> None:
        self._running.pop(key, None)
        if not done.cancelled() and done.exception() is None:
            self._kept.pop(key, None)
            self._kept[key] = (self._monotonic(), done.result())
            while self._kept and (len(self._kept) > MOST_KEPT or self._is_stale(next(iter(self._kept)))):
                del self._kept[next(iter(self._kept))]

    def _is_stale(self, key: Key) -> bool:
        """Whether nobody gets this answer any more."""
        return self._monotonic() - self._kept[key][0] > STALE_SECONDS


class SystemClient:
    """All services and relays, as the person with this token may see and change them."""

    def __init__(self, processes: Processes, reads: Reads, transport: ApiTransport, token: str | None) -> None:
        self.processes = processes
        self._reads = reads
        self._transport = transport
        self._token = token or ""
        self._made: Counter[str] = Counter()

    @property
    def most_calls(self) -> int:
        """The most calls of one process that were made for what was read."""
        return max(self._made.values(), default=0)

    async def get(
        self,
        process: ApiProcess,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> ApiReply:
        """Read a path of one process. Never raises: see `ApiReply.failure`."""
        call = (process, path, params or {})
        return await self._reads.read(
            self._token, call, self._headers(), fresh_seconds=fresh_seconds, called=self._count
        )

    async def ask(
        self,
        processes: Iterable[ApiProcess],
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> list[ApiReply]:
        """Read the same path of several processes at the same time; the replies are in the order of the processes."""
        reads = (self.get(process, path, params, fresh_seconds=fresh_seconds) for process in processes)
        return list(await asyncio.gather(*reads))

    async def change(self, process: ApiProcess, path: str, body: Body, *, key: str) -> ApiReply:
        """Post a change once. A lost answer is asked for again, once, with the same Idempotency-Key `key`."""
        headers = {**self._headers(), "Idempotency-Key": key}
        try:
            reply = await self._transport.change(process, path, body, headers)
            if reply.failure is not None and reply.failure.is_lost:
                # Whether the first request made the change is not known, and both were for one confirmation.
                reply = replace(await self._transport.change(process, path, body, headers), is_repeated=False)
            return reply
        finally:
            self._reads.forget(self._token)

    def forget(self) -> None:
        """Keep none of this person's answers, because one of them is not to be kept."""
        self._reads.forget(self._token)

    def _count(self, process: str) -> None:
        self._made[process] += 1

    def _headers(self) -> dict[str, str]:
        headers = {"X-Correlation-ID": current_context().correlation_id}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers
