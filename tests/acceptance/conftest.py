"""The ground that the whole system stands on, one for each test."""

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
    """Databases, broker and topology of this test's own."""
    return SystemEnvironment(orders_database, notifications_database, aws, topology, tmp_path)


@pytest.fixture
async def services(ground: SystemEnvironment) -> AsyncIterator[Trio]:
    """Order and notification service, ready; no relay yet."""
    async with trio(ground) as found:
        await ready(found.order)
        await ready(found.notification)
        yield found
