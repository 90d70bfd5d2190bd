"""Acknowledgements wait for the confirmations of their events, which then record both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID, uuid4

from event_trio.signals import Signals
from services.relay.publishing.acknowledgements import (
    KEPT,
    MOST,
    QUIET_SECONDS,
    RECORD_SECONDS,
    AcknowledgementRecorder,
)
from services.relay.publishing.backlog import Backlog, PendingEvent
from services.relay.publishing.dispatcher import AcknowledgedEvent, Dispatcher
from services.relay.publishing.outbox_updates import Confirmation, Publication
from tests.support import virtual_time


class Records:
    """Notes what is recorded by itself, and what with a confirmation."""

    blocked = False

    def __init__(self) -> None:
        self.alone: list[list[str]] = []
        self.confirmed: list[str] = []
        self.waited: list[float] = []
        self.fails = 0

    async def record_acknowledgements(self, acknowledged: Sequence[AcknowledgedEvent]) -> None:
        await asyncio.sleep(0.001)
        if self.fails:
            self.fails -= 1
            raise OSError("the database is away")
        self.alone.append([each.event.event_id for each in acknowledged])

    def recorded(self, events: Sequence[PendingEvent], waited: Sequence[float]) -> None:
        self.confirmed += [event.event_id for event in events]
        self.waited += waited


def acknowledged(event_id: UUID, *, republished: int = 0) -> AcknowledgedEvent:
    event = PendingEvent(1, str(event_id), "o-1", 0, b"{}", {}, 2, republished)
    return AcknowledgedEvent(event, f"m-{event_id}", virtual_time.VirtualClock().monotonic())


def published(event_id: UUID) -> Publication:
    return Publication(event_id, "order.placed", 0.5, 0.2)


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[AcknowledgementRecorder, Records]]:
    records = Records()
    made = AcknowledgementRecorder(
        cast(Dispatcher, records),
        cast(Backlog, records),
        clock=virtual_time.VirtualClock(),
        signals=Signals(),
        on_recorded=lambda: None,
    )
    task = asyncio.create_task(made.run())
    try:
        yield made, records
    finally:
        task.cancel()


def run(scenario: Callable[[AcknowledgementRecorder, Records], Awaitable[None]]) -> None:
    async def started() -> None:
        async with recording() as (made, records):
            await scenario(made, records)

    virtual_time.run(started())


def test_a_confirmation_in_time_records_the_acknowledgement_too() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        event = uuid4()
        made.add([acknowledged(event)])
        await asyncio.sleep(0.05)
        found = made.completed(Confirmation(event), str(event))
        assert (found.message_id, round(found.age or 0, 3)) == (f"m-{event}", 0.05)
        made.confirmed({str(event): published(event)})
        assert (records.confirmed, records.waited) == ([str(event)], [0.3])
        await asyncio.sleep(RECORD_SECONDS * 2)
        assert records.alone == []
        await made.drained()

    run(scenario)


def test_an_acknowledgement_alone_is_recorded_when_no_other_follows() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        event = uuid4()
        made.add([acknowledged(event)])
        await asyncio.sleep(QUIET_SECONDS + 0.05)
        assert records.alone == [[str(event)]]

    run(scenario)


def test_under_load_each_waits_for_its_confirmation_but_not_longer_than_the_interval() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        events = [uuid4() for _ in range(150)]
        for event in events:
            made.add([acknowledged(event)])
            await asyncio.sleep(0.01)
        first, *_ = records.alone
        assert first[0] == str(events[0])
        # Those that came last before the write still wait.
        waited = int(RECORD_SECONDS * 100)
        assert waited - int(QUIET_SECONDS * 100) - 5 <= len(first) <= waited - int(QUIET_SECONDS * 100) + 1

    run(scenario)


def test_a_confirmation_of_another_send_or_of_no_news_takes_nothing() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        event = uuid4()
        made.add([acknowledged(event, republished=1)])
        assert made.completed(Confirmation(event), str(event)) == Confirmation(event)
        assert made.completed(Confirmation(event, 1), f"{event}.1").message_id is not None
        made.confirmed({})
        await asyncio.sleep(RECORD_SECONDS)
        assert (records.alone, records.confirmed) == ([[str(event)]], [])

    run(scenario)


def test_an_acknowledgement_that_is_being_written_is_left_to_its_write() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        records.fails, event = 3, uuid4()
        made.add([acknowledged(event)])
        await asyncio.sleep(QUIET_SECONDS + 0.05)
        assert made.full, "the last write failed"
        assert made.completed(Confirmation(event), str(event)) == Confirmation(event)
        made.confirmed({str(event): published(event)})
        await made.drained()
        assert (records.alone, records.confirmed) == ([[str(event)]], [])

    run(scenario)


def test_where_a_group_waits_for_the_record_it_is_written_at_once() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        made.add([acknowledged(uuid4())])
        await asyncio.sleep(0.01)
        records.blocked = True
        made.nudge()
        await asyncio.sleep(0.03)
        assert len(records.alone) == 1

    run(scenario)


def test_what_waits_is_bounded() -> None:
    async def scenario(made: AcknowledgementRecorder, records: Records) -> None:
        made.add([acknowledged(uuid4()) for _ in range(MOST)])
        await asyncio.sleep(0.01)
        assert [len(batch) for batch in records.alone] == [MOST]
        records.fails = 1
        made.add([acknowledged(uuid4()) for _ in range(KEPT)])
        assert made.full
        await made.drained()
        assert sum(map(len, records.alone)) == MOST + KEPT

    run(scenario)
