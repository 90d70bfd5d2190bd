"""The suites for brokers pass one that keeps its promises, and find each mistake that an implementation can make."""

import inspect
from dataclasses import dataclass

import pytest

from event_trio.envelope import Envelope
from event_trio.testing import PublisherSuite, QueueSuite
from event_trio.testing.publisher_suite import SentEvent
from tests.support import mistaken_publishers as publishers
from tests.support import mistaken_sources as sources
from tests.support.memory_broker import MOST_BYTES, MemoryBroker, MemoryPublisher, MemorySource
from tests.support.virtual_time import run


class BoundedPublisherSuite(PublisherSuite):
    """The suite for a broker that deduplicates and has a limit."""

    most_bytes = MOST_BYTES
    deduplicates = True


TESTS = [
    (suite, name) for suite in (QueueSuite, BoundedPublisherSuite) for name in dir(suite) if name.startswith("test_")
]
Mistaken = type[MemoryBroker] | type[MemoryPublisher] | type[MemorySource]

ORDER = "test_a_group_comes_in_the_order_in_which_it_was_sent"
CONTENT = "test_a_message_has_what_a_consumer_reads"
IN_FLIGHT = "test_behind_a_message_in_flight_its_group_waits"
DELETED = "test_a_deleted_message_lets_the_next_one_go"
AGAIN = "test_what_is_not_deleted_in_time_comes_again_and_first"
FORMER = "test_a_former_receipt_handle_does_nothing"
EXTENDED = "test_an_extended_message_stays_in_flight"
BOUND = "test_a_receive_takes_ten_at_the_most_and_fewer_where_asked"
NOTHING = "test_a_receive_ends_when_there_is_nothing"
FAN_OUT = "test_each_subscriber_gets_what_was_accepted"
CALLS = "test_a_group_stays_in_order_over_calls"
READERS = "test_two_readers_share_the_messages_and_keep_a_group_in_order"
CLOSED = "test_what_a_reader_did_not_delete_comes_again_to_another_and_first"
AWAY = "test_a_broker_that_is_not_there_is_an_outage_and_loses_nothing"
NO_TOPIC = "test_a_topic_that_does_not_exist_is_an_outage"
TOO_LARGE = "test_an_event_that_is_too_large_is_rejected_and_not_an_outage"
ENTRIES = "test_each_entry_of_a_call_has_its_own_outcome"
TWICE = "test_the_same_sending_twice_and_a_deliberate_one"

MISTAKES: tuple[tuple[Mistaken, str], ...] = (
    (sources.Reversed, ORDER),
    (sources.WithoutIds, CONTENT),
    (publishers.WithoutAttributes, CONTENT),
    (publishers.Rewriting, FAN_OUT),
    (sources.Requeueing, IN_FLIGHT),
    (sources.OneAtATime, IN_FLIGHT),
    (sources.NotDeleting, DELETED),
    (sources.Requeueing, AGAIN),
    (sources.AcknowledgingOnReceipt, AGAIN),
    (sources.ReusingHandles, AGAIN),
    (sources.Uncounted, AGAIN),
    (sources.RenamingMessages, AGAIN),
    (sources.DeletingByMessage, FORMER),
    (sources.ExtendingByMessage, FORMER),
    (sources.NotExtending, EXTENDED),
    (sources.Unbounded, BOUND),
    (sources.Endless, NOTHING),
    (publishers.SharedQueue, FAN_OUT),
    (publishers.WithoutAttributes, FAN_OUT),
    (sources.ConnectedOnly, FAN_OUT),
    (publishers.Reordering, CALLS),
    (publishers.InBackground, CALLS),
    (sources.Copying, READERS),
    (sources.ReadingAhead, READERS),
    (sources.AcknowledgingOnReceipt, CLOSED),
    (sources.AcknowledgingOnClose, CLOSED),
    (sources.RequeueingOnClose, CLOSED),
    (publishers.Forgetting, AWAY),
    (publishers.AcknowledgingFirst, AWAY),
    (publishers.Optimistic, AWAY),
    (publishers.Raising, AWAY),
    (publishers.Hanging, AWAY),
    (publishers.Healthy, AWAY),
    (publishers.Disconnected, AWAY),
    (sources.NotReconnecting, AWAY),
    (sources.RaisingOthers, AWAY),
    (publishers.Blaming, NO_TOPIC),
    (publishers.Healthy, NO_TOPIC),
    (publishers.Swallowing, TOO_LARGE),
    (publishers.TooLargeIsAnOutage, TOO_LARGE),
    (publishers.BrokenByTooLarge, TOO_LARGE),
    (publishers.Swallowing, ENTRIES),
    (publishers.SwallowingAmongOthers, ENTRIES),
    (publishers.FailuresLast, ENTRIES),
    (publishers.WithoutOutcomes, ENTRIES),
    (publishers.RefusingRepeated, TWICE),
    (publishers.Undeduplicating, TWICE),
    (publishers.DeduplicatingById, TWICE),
)


@dataclass(frozen=True)
class Implementation:
    """A broker with its publisher and its sources."""

    broker: type[MemoryBroker] = MemoryBroker
    publisher: type[MemoryPublisher] = MemoryPublisher
    source: type[MemorySource] = MemorySource

    async def test(self, suite: type, name: str) -> None:
        """Run one test of a suite."""
        broker = self.broker()
        publisher = self.publisher(broker)

        async def publish(sent: Envelope) -> None:
            await publisher.publish([SentEvent(sent)])

        async def open_source(subscriber: str) -> MemorySource:
            return self.source(broker, subscriber)

        fixtures = {
            "broker": broker,
            "publisher": publisher,
            "publisher_without_topic": self.publisher(broker, topic_exists=False),
            "open_source": open_source,
            "queue": self.source(broker, "mailer"),
            "publish": publish,
        }
        test = getattr(suite(), name)
        await test(**{each: fixtures[each] for each in inspect.signature(test).parameters})


def with_mistake(mistaken: Mistaken) -> Implementation:
    """An implementation of which one part is mistaken."""
    if issubclass(mistaken, MemoryBroker):
        return Implementation(broker=mistaken)
    return (
        Implementation(publisher=mistaken) if issubclass(mistaken, MemoryPublisher) else Implementation(source=mistaken)
    )


@pytest.mark.parametrize(("suite", "name"), TESTS, ids=lambda each: getattr(each, "__name__", each))
def test_a_broker_without_mistakes_passes(suite: type, name: str) -> None:
    run(Implementation().test(suite, name))


@pytest.mark.parametrize(("mistaken", "name"), MISTAKES, ids=lambda each: getattr(each, "__name__", each))
def test_a_mistake_is_found(mistaken: Mistaken, name: str) -> None:
    suite = next(suite for suite, known in TESTS if known == name)
    with pytest.raises((AssertionError, TimeoutError, ConnectionError)):
        run(with_mistake(mistaken).test(suite, name))


def test_every_test_of_the_suites_finds_a_mistake() -> None:
    assert {name for _, name in MISTAKES} == {name for _, name in TESTS}


def test_every_mistake_is_planted() -> None:
    right = (MemoryBroker, MemoryPublisher, MemorySource)
    made = {
        each
        for module in (publishers, sources)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, right) and each not in right
    }
    assert made == {mistaken for mistaken, _ in MISTAKES}
