"""Databases, broker and topology of the whole system, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support.databases import TestDatabase
from tests.support.trio import SystemEnvironment, Trio, ready, trio


@pytest.fixture
def ground(
    orders_database: TestDatabase, notifications_database: TestDatabase, topology: BrokerNames, aws: Aws, tmp_path: Path
) -> SystemEnvironment:
    """The databases, broker and topology of this test."""
    return SystemEnvironment(orders_database, notifications_database, aws, topology, tmp_path)


@pytest.fixture
async def services(ground: SystemEnvironment) -> AsyncIterator[Trio]:
    """The order and the notification service, ready, without a relay."""
    async with trio(ground) as found:
        await ready(found.order)
        await ready(found.notification)
        yield found
