"""Outbox, relay, consumer and inbox over RabbitMQ, which takes seconds to start: the tests of the other broker."""

from collections.abc import Iterator

import pytest

from comparisons.brokers.servers.broker_server import BrokerServer
from comparisons.brokers.servers.rabbitmq_server import RabbitServer
from tests.integration.test_other_brokers import (
    inbox,
    test_a_topic_that_does_not_exist_is_named,
    test_events_are_published_and_handled_once_in_order_though_the_broker_is_killed,
)
from tests.support.broker_servers import running
from tests.support.other_brokers import other_broker

__all__ = [
    "inbox",
    "other_broker",
    "test_a_topic_that_does_not_exist_is_named",
    "test_events_are_published_and_handled_once_in_order_though_the_broker_is_killed",
]


@pytest.fixture(scope="module")
def server() -> Iterator[BrokerServer]:
    with running(RabbitServer()) as started:
        yield started
