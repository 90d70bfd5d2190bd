"""Whether the relay is ready, and what it lacks."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from event_trio.http.health import AWS_CACHE_SECONDS, HealthCheck

REASON = re.compile(r"[^:]+(: [A-Za-z][\w.]*(?=: |$))*")


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the readiness page looks; each answers None, or with a sentence that names what is missing."""

    find_outbox: Callable[[], Awaitable[str | None]]
    find_topic: Callable[[], Awaitable[str | None]]
    outage: Callable[[], str | None]
    identity: Callable[[], str | None]
    publish_check: Callable[[], str | None]
    lease: Callable[[], str | None]
    paused: Callable[[], Awaitable[str | None]]
    listener: Callable[[], str | None]
    loops: Callable[[], str | None]


def checks(readings: Callable[[], Readings | None]) -> Sequence[HealthCheck]:
    """The checks of a relay. Those that are not required tell of what costs time, or waits for an operator."""

    def ask(choose: Callable[[Readings], Callable[[], Awaitable[str | None]]]) -> Callable[[], Awaitable[str | None]]:
        async def answer() -> str | None:
            found = readings()
            return await choose(found)() if found else "not started"

        return answer

    def look(choose: Callable[[Readings], Callable[[], str | None]]) -> Callable[[], Awaitable[str | None]]:
        async def answer() -> str | None:
            found = readings()
            return choose(found)() if found else "not started"

        return answer

    return (
        HealthCheck("outbox", ask(lambda found: found.find_outbox)),
        HealthCheck("topic", ask(lambda found: found.find_topic), cache_seconds=AWS_CACHE_SECONDS),
        HealthCheck("broker", look(lambda found: lambda: _broker(found.outage()))),
        HealthCheck("publish-check", look(lambda found: found.publish_check)),
        HealthCheck("lease", look(lambda found: found.lease)),
        HealthCheck("loops", look(lambda found: found.loops)),
        HealthCheck("broker-identity", look(lambda found: found.identity), required=False),
        HealthCheck("paused", ask(lambda found: found.paused), required=False),
        HealthCheck("listener", look(lambda found: found.listener), required=False),
    )


def _broker(outage: str | None) -> str | None:
    """The outage up to its code; what the broker or its client says beside that names accounts and addresses."""
    found = REASON.match(outage or "")
    return found[0] if found else None
