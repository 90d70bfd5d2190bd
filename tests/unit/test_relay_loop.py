"""The relay's main loop: when it reads the outbox again."""

import asyncio
from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from event_trio.clock import SystemClock
from event_trio.database.connections import Pool
from event_trio.signals import Signals
from services.relay.leases.lanes import Lanes
from services.relay.metrics import RelayMetrics
from services.relay.publishing import poll_interval
from services.relay.publishing.backlog import Backlog
from services.relay.publishing.dispatcher import Dispatcher
from services.relay.publishing.outbox_reader import OutboxPage, OutboxReader
from services.relay.publishing.outbox_updates import OutboxUpdates
from services.relay.publishing.publisher import Publisher
from services.relay.publishing.relay import Relay

MINUTE = 60.0
NOTHING = OutboxPage((), exhausted=True)


class Reader:
    """Finds nothing, or a database that is away."""

    def __init__(self, signals: Signals) -> None:
        self.away = False
        self._signals = signals

    async def read(self, lanes: Sequence[int], *, excluded: Sequence[str], positions: object) -> OutboxPage:
        if self.away:
            self.away = False
            self._signals.emit("reader.failed")
            raise ConnectionResetError
        return NOTHING


def relay(reader: Reader, signals: Signals) -> Relay:
    clock, backlog, metrics = SystemClock(), Backlog(), RelayMetrics(CollectorRegistry())
    # Nothing is ever found, so neither database nor broker is asked for anything else.
    nothing = cast(Pool, None)
    lanes = Lanes(nothing, uuid4(), lease_seconds=15, call_seconds=5, clock=clock, busy=backlog.busy, signals=signals)
    dispatcher = Dispatcher(
        reader=cast(OutboxReader, reader),
        updates=OutboxUpdates(nothing, uuid4()),
        lanes=lanes,
        backlog=backlog,
        clock=clock,
        metrics=metrics,
    )
    return Relay(
        dispatcher,
        cast(Publisher, None),
        lanes,
        backlog,
        idle_seconds=MINUTE,
        is_listening=lambda: True,
        clock=clock,
        metrics=metrics,
        signals=signals,
    )


async def test_after_a_failed_read_a_notification_is_not_lost_until_the_next_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(poll_interval, "FIRST_POLL_SECONDS", MINUTE)
    monkeypatch.setattr(poll_interval, "READ_AGAIN_SECONDS", 0.05)
    signals = Signals()
    reader = Reader(signals)
    made = relay(reader, signals)
    running = asyncio.create_task(made.run(asyncio.Event()))
    try:
        await signals.wait("relay.read")
        reader.away = True
        made.wake()
        await signals.wait("reader.failed", timeout=5)
        await signals.wait("relay.read", count=2, timeout=5)
    finally:
        running.cancel()
