"""Announced groups: each is read once, in the order of the commits, and nothing that is read is lost."""

import asyncio
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from services.relay.metrics import RelayMetrics
from services.relay.publishing.announcements import Announcements
from services.relay.publishing.backlog import Backlog
from services.relay.publishing.dispatcher import Dispatcher
from services.relay.publishing.outbox_reader import OutboxPage, OutboxReader
from services.relay.publishing.outbox_updates import OutboxUpdates
from services.relay.publishing.poll_interval import WHILE_ANNOUNCED_SECONDS, PollInterval
from tests.support.loop_world import OurLanes
from tests.support.virtual_time import VirtualClock


class Reader:
    """Answers with prepared pages, and remembers which groups were asked for."""

    def __init__(self) -> None:
        self.whole = True
        self.fails = False
        self.named: list[list[str]] = []

    async def read(self, lanes: object, *, excluded: object, positions: object) -> OutboxPage:
        return await self._page(OutboxPage((), exhausted=self.whole, whole=self.whole))

    async def read_groups(
        self, subjects: list[str], lanes: object, *, excluded: object, positions: object
    ) -> OutboxPage:
        self.named.append(list(subjects))
        return await self._page(OutboxPage((), exhausted=True))

    async def _page(self, page: OutboxPage) -> OutboxPage:
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionResetError
        return page


def dispatcher(reader: Reader) -> Dispatcher:
    return Dispatcher(
        reader=cast(OutboxReader, reader),
        updates=cast(OutboxUpdates, None),
        lanes=OurLanes(),
        backlog=Backlog(),
        clock=VirtualClock(),
        metrics=RelayMetrics(CollectorRegistry()),
    )


def test_a_group_waits_once_at_its_first_announcement() -> None:
    announced = Announcements()
    assert announced.add(["b", "a"])
    assert announced.add(["a", "c", "b"])
    assert announced.take(2) == ["b", "a"]
    assert announced.take(None) == ["c"]
    assert len(announced) == 0


def test_too_many_groups_are_forgotten_and_everything_must_be_read() -> None:
    announced = Announcements(most=2)
    assert announced.add(["a", "b"])
    assert not announced.add(["c"])
    assert len(announced) == 0


async def test_announced_groups_are_read_by_name() -> None:
    reader = Reader()
    made = dispatcher(reader)
    assert made.announce(["b", "a"])
    assert made.announced
    await made.read(everything=False)
    assert reader.named == [["b", "a"]]
    assert not made.announced


@pytest.mark.parametrize("whole", [True, False])
async def test_a_read_of_everything_covers_announcements_only_if_it_saw_every_lane(whole: bool) -> None:
    reader = Reader()
    reader.whole = whole
    made = dispatcher(reader)
    made.announce(["a"])
    await made.read()
    assert made.announced is not whole


async def test_what_is_announced_during_a_read_of_everything_is_read_afterwards() -> None:
    reader = Reader()
    made = dispatcher(reader)
    reading = asyncio.create_task(made.read())
    await asyncio.sleep(0)
    made.announce(["a"])
    await reading
    assert made.announced


async def test_after_a_failed_read_nothing_is_read_at_once_again() -> None:
    reader = Reader()
    made = dispatcher(reader)
    made.announce(["a", "b"])
    reader.fails = True
    with pytest.raises(ConnectionResetError):
        await made.read(everything=False)
    assert not made.announced


def test_an_announced_outbox_is_polled_seldom_and_otherwise_as_usual() -> None:
    announced = True
    poll = PollInterval(1.0, lambda: announced)
    for events in (0, 5):
        poll.found(events, 100.0, listening=False)
        assert poll.next_at == 100.0 + WHILE_ANNOUNCED_SECONDS
    announced = False
    poll.shorten()
    poll.found(0, 100.0, listening=False)
    assert poll.next_at < 100.1
