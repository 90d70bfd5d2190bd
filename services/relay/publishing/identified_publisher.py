"""Puts the deadline, the spans and the check for a recreated broker around a publisher of another broker than SNS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from event_trio.broker.publisher import MessagePublisher, OutgoingEvent
from event_trio.database.connections import DATABASE_FAULTS
from event_trio.error_text import describe
from event_trio.errors import BrokerUnavailable
from event_trio.observability.spans import tracer

from .outcome import REASON_CHARACTERS, BrokerOutage, CallOutcome, NotAttempted
from .tracing import SendSpans

FAULTS: tuple[type[BaseException], ...] = (BrokerUnavailable, *DATABASE_FAULTS)


class IdentifiedPublisher:
    """Before the first call, and again after an outage, the broker is identified: what it lost is sent first."""

    def __init__(
        self,
        publisher: MessagePublisher,
        topic: str,
        *,
        system: str,
        call_seconds: float,
        created: Callable[[], Awaitable[str | None]],
        identify: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._system = system
        self._call_seconds = call_seconds
        self._created = created
        self._identify = identify
        self._identified = False
        self._identifying = asyncio.Lock()

    def recheck_broker(self) -> None:
        """Identify the broker again before the next call."""
        self._identified = False

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        """Send events within the deadline. Failures are returned."""
        if (tracing := tracer()) is None:
            answer = await self._publish(events)
        else:
            sending = SendSpans(tracing, self._topic, events, time.time_ns(), system=self._system)
            answer = await self._publish(events)
            sending.answered(answer)
        if isinstance(answer, BrokerOutage):
            self.recheck_broker()
        return answer

    async def check(self) -> str | None:
        """Return why the topic cannot be used, or None."""
        return await self._publisher.check()

    async def _publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        try:
            async with asyncio.timeout(self._call_seconds):
                if not self._identified:
                    return await self._identify_broker()
                return await self._publisher.publish(events)
        except TimeoutError:
            return BrokerOutage(f"no answer within {self._call_seconds:g} s")
        except FAULTS as error:
            return BrokerOutage(describe(error)[:REASON_CHARACTERS])

    async def _identify_broker(self) -> CallOutcome:
        async with self._identifying:
            if not self._identified:
                created = await self._created()
                self._identified = created is None or await self._identify(created)
                if not self._identified:
                    return BrokerOutage("the broker was recreated; lost events are sent first")
        # These events were read before.
        return NotAttempted()
