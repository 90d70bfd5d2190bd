"""The health checks of the relay's readiness page."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from event_trio.http.health import AWS_CACHE_SECONDS, HealthCheck

NOT_STARTED = "not started"
REASON = re.compile(r"[^:]+(: [A-Za-z][\w.]*(?=: |$))*")


@dataclass(frozen=True, slots=True)
class HealthState:
    """The sources of the health checks: each returns None, or a sentence that names the problem."""

    find_outbox: Callable[[], Awaitable[str | None]]
    find_topic: Callable[[], Awaitable[str | None]]
    outage: Callable[[], str | None]
    identity: Callable[[], str | None]
    publish_check: Callable[[], str | None]
    lease: Callable[[], str | None]
    paused: Callable[[], Awaitable[str | None]]
    listener: Callable[[], str | None]
    source: Callable[[], str | None]


def checks(find: Callable[[], HealthState | None], unhealthy_loops: Callable[[], str | None]) -> Sequence[HealthCheck]:
    """The health checks of a relay. Checks that are not required report what slows it or waits for an operator."""

    def ask(choose: Callable[[HealthState], Awaitable[str | None]]) -> Callable[[], Awaitable[str | None]]:
        async def answer() -> str | None:
            found = find()
            return await choose(found) if found else NOT_STARTED

        return answer

    def look(choose: Callable[[HealthState], str | None]) -> Callable[[], Awaitable[str | None]]:
        async def answer() -> str | None:
            found = find()
            return choose(found) if found else NOT_STARTED

        return answer

    async def loops() -> str | None:
        return unhealthy_loops()

    return (
        HealthCheck("outbox", ask(lambda found: found.find_outbox())),
        HealthCheck("topic", ask(lambda found: found.find_topic()), cache_seconds=AWS_CACHE_SECONDS),
        HealthCheck("broker", look(lambda found: _broker(found.outage()))),
        HealthCheck("publish-check", look(lambda found: found.publish_check())),
        HealthCheck("lease", look(lambda found: found.lease())),
        HealthCheck("loops", loops),
        HealthCheck("broker-identity", look(lambda found: found.identity()), required=False),
        HealthCheck("paused", ask(lambda found: found.paused()), required=False),
        HealthCheck("listener", look(lambda found: found.listener()), required=False),
        HealthCheck("source", look(lambda found: found.source()), required=False),
    )


def _broker(outage: str | None) -> str | None:
    """Return the reason of an outage up to its code; the rest of the text may name accounts and addresses."""
    found = REASON.match(outage or "")
    return found[0] if found else None
