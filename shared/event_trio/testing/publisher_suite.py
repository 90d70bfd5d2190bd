"""What a relay and its subscribers rely on in a broker, as tests that any publisher with its sources must pass.

A subclass gives three fixtures. With pytest-asyncio in its auto mode that is all:

    class TestMyBroker(PublisherSuite):
        @pytest.fixture
        def publisher(self) -> MessagePublisher: ...

        @pytest.fixture
        def publisher_without_topic(self) -> MessagePublisher: ...   # of a topic that does not exist

        @pytest.fixture
        def open_source(self) -> OpenSource: ...   # for the subscribers of SUBSCRIBERS, which exist

        @pytest.fixture
        def broker(self) -> BrokerControl: ...     # stops the broker as kill -9 does, and starts it again
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from ..broker.outcome import Accepted, Answered, BrokerOutage, CallOutcome, CallRejected, Permanent
from ..broker.publisher import MessagePublisher
from ..broker.source import Message, MessageSource
from ..envelope import Envelope
from ..errors import BrokerUnavailable
from .queue_suite import LONG, SHORT, drain, event, numbers, receive

SUBSCRIBERS = ("mailer", "billing")

OpenSource: TypeAlias = Callable[[str], Awaitable[MessageSource]]
"""Opens another reader of a subscriber, with a connection of its own; the fixture closes it."""


class BrokerControl(Protocol):
    """The broker of a test."""

    async def stop(self) -> None:
        """End it without warning, as kill -9 does."""
        ...

    async def restart(self) -> None:
        """Start it again with the data that it has stored."""
        ...


@dataclass(frozen=True)
class SentEvent:
    """An event as a relay passes it to a publisher."""

    envelope: Envelope
    republished: int = 0
    padding: int = 0

    @property
    def event_id(self) -> str:
        return str(self.envelope.id)

    @property
    def subject(self) -> str:
        return self.envelope.partitionkey

    @property
    def body(self) -> bytes:
        return self.envelope.to_bytes() + b" " * self.padding

    @property
    def attributes(self) -> Mapping[str, str]:
        return {"type": self.envelope.type}

    @property
    def deduplication_id(self) -> str:
        return f"{self.event_id}.{self.republished}" if self.republished else self.event_id


def outgoing(group: str, number: int, *, republished: int = 0, padding: int = 0) -> SentEvent:
    """An event of a message group."""
    return SentEvent(event(group, number), republished, padding)


async def accepted(publisher: MessagePublisher, *events: SentEvent, seconds: float = 30.0) -> None:
    """Send events, again while the broker is not there, until all are accepted. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not isinstance(answer := await publisher.publish(events), Answered):
            assert isinstance(answer, BrokerOutage), answer
            await asyncio.sleep(0.05)
    assert [type(outcome) for outcome in answer.outcomes] == [Accepted] * len(events), answer


async def until_received(source: MessageSource, number: int, *, seconds: float = 30.0) -> None:
    """Wait until an event arrives, from a source whose broker may not be there yet.

    Deletes that the broker had not stored may be repeated before. Raises TimeoutError.
    """
    async with asyncio.timeout(seconds):
        while True:
            try:
                if number in numbers(await drain(source, 1, seconds=seconds)):
                    return
            except BrokerUnavailable:
                await asyncio.sleep(0.1)


class PublisherSuite:
    """The tests. `most_bytes` is the largest event that the broker carries; None if it is not tested."""

    most_bytes: ClassVar[int | None] = None
    deduplicates: ClassVar[bool] = False
    """Whether the broker drops an event whose deduplication id it has seen. Without it the inbox does."""

    async def test_each_subscriber_gets_what_was_accepted(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """Fan-out: to a subscriber that was not connected, too, as it was sent."""
        assert await publisher.check() is None
        sent = [outgoing(f"group-{number}", number) for number in range(1, 4)]
        await accepted(publisher, *sent)
        for subscriber in SUBSCRIBERS:
            messages = await drain(await open_source(subscriber), 3)
            assert {message.deduplication_id: (message.body.encode(), message.group) for message in messages} == {
                each.deduplication_id: (each.body, each.subject) for each in sent
            }
            assert all(message.attributes == {"type": "test.counted"} for message in messages)

    async def test_a_group_stays_in_order_over_calls(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """The events of each group come in the order of the calls."""
        groups = ("a", "b", "c")
        for number in range(1, 9):
            await accepted(publisher, *(outgoing(group, number) for group in groups))
        messages = await drain(await open_source("mailer"), 24)
        for group in groups:
            assert numbers([each for each in messages if each.group == group]) == list(range(1, 9))

    async def test_two_readers_share_the_messages_and_keep_a_group_in_order(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """While a message is with one reader, the other gets nothing of its group. Each message goes to one of them."""
        for number in range(1, 6):
            await accepted(publisher, *(outgoing(group, number) for group in ("a", "b", "c", "d")))
        found: list[Message] = []

        async def read(source: MessageSource) -> None:
            while len(found) < 20:
                messages = await source.receive(wait_seconds=1, visibility_seconds=LONG)
                found.extend(messages)
                # What another reader would get meanwhile would be in between.
                await asyncio.sleep(0.01)
                assert await source.delete(messages) == []

        async with asyncio.timeout(30):
            await asyncio.gather(read(await open_source("mailer")), read(await open_source("mailer")))
        for group in ("a", "b", "c", "d"):
            assert numbers([each for each in found if each.group == group]) == [1, 2, 3, 4, 5]

    async def test_what_a_reader_did_not_delete_comes_again_to_another_and_first(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """The messages of a reader that has gone are received in order, before those behind them."""
        for number in (1, 2, 3):
            await accepted(publisher, outgoing("a", number))
        first = await open_source("mailer")
        assert numbers(await receive(first, 1, visibility_seconds=SHORT))[0] == 1
        await close(first)
        assert numbers(await drain(await open_source("mailer"), 3)) == [1, 2, 3]

    async def test_a_broker_that_is_not_there_is_an_outage_and_loses_nothing(
        self, publisher: MessagePublisher, open_source: OpenSource, broker: BrokerControl
    ) -> None:
        """What was accepted survives kill -9; meanwhile calls return outages in time, and later ones work again.

        A reader that was open before reads on, and one that was away finds everything.
        """
        source = await open_source("mailer")
        for number in (1, 2):
            await accepted(publisher, *(outgoing(group, number) for group in ("a", "b")))
        await drain(source, 4)
        await accepted(publisher, outgoing("a", 3))
        await broker.stop()
        async with asyncio.timeout(15):
            assert isinstance(await publisher.publish([outgoing("a", 4)]), BrokerOutage)
            assert await publisher.check() is not None
            with suppress(BrokerUnavailable):
                await source.receive(wait_seconds=1, visibility_seconds=SHORT)
        await broker.restart()
        await accepted(publisher, outgoing("a", 4))
        await until_received(source, 4)
        messages = await drain(await open_source("billing"), 6)
        assert numbers([each for each in messages if each.group == "a"]) == [1, 2, 3, 4]
        assert numbers([each for each in messages if each.group == "b"]) == [1, 2]

    async def test_a_topic_that_does_not_exist_is_an_outage(self, publisher_without_topic: MessagePublisher) -> None:
        """No event is the cause, and the reason says so."""
        async with asyncio.timeout(15):
            assert isinstance(await publisher_without_topic.publish([outgoing("a", 1)]), BrokerOutage)
            assert await publisher_without_topic.check() is not None

    async def test_an_event_that_is_too_large_is_rejected_and_not_an_outage(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """Alone it is permanent or a rejected call, and the events after it are accepted."""
        if self.most_bytes is None:
            return
        answer = await publisher.publish([outgoing("a", 1, padding=self.most_bytes)])
        assert _rejected(answer), answer
        await accepted(publisher, outgoing("a", 2))
        assert numbers(await drain(await open_source("mailer"), 1)) == [2]

    async def test_each_entry_of_a_call_has_its_own_outcome(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """In the order of sending: what is accepted arrives, and what is too large is not accepted with the others."""
        if self.most_bytes is None:
            return
        sent = [outgoing("a", 1), outgoing("b", 2, padding=self.most_bytes), outgoing("c", 3)]
        answer = await publisher.publish(sent)
        match answer:
            case Answered(outcomes):
                assert [type(outcome) for outcome in outcomes] == [Accepted, Permanent, Accepted], answer
                assert set(numbers(await drain(await open_source("mailer"), 2))) == {1, 3}
            case _:
                assert isinstance(answer, CallRejected), answer

    async def test_the_same_sending_twice_and_a_deliberate_one(
        self, publisher: MessagePublisher, open_source: OpenSource
    ) -> None:
        """A repeated sending is accepted again, and a republished event is delivered in any case."""
        sent = outgoing("a", 1)
        await accepted(publisher, sent)
        await accepted(publisher, sent)
        await accepted(publisher, SentEvent(sent.envelope, republished=1))
        expected = [sent.event_id, f"{sent.event_id}.1"] if self.deduplicates else [sent.event_id] * 2
        messages = await drain(await open_source("mailer"), 2 if self.deduplicates else 3)
        assert [each.deduplication_id for each in messages[:2]] == expected
        assert messages[-1].deduplication_id == f"{sent.event_id}.1"


async def close(source: MessageSource) -> None:
    """Close a source that can be closed; another leaves its messages until their visibility ends."""
    if (closing := getattr(source, "close", None)) is not None:
        await closing()


def _rejected(answer: CallOutcome) -> bool:
    match answer:
        case CallRejected():
            return True
        case Answered(outcomes):
            return all(isinstance(outcome, Permanent) for outcome in outcomes)
        case _:
            return False
