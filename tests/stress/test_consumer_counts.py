"""What a consumer costs per event, compared with the baseline: counts, which do not drift with the machine."""

import logging
import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest
import structlog
from pydantic import SecretStr

from benchmarks.baseline import baseline, keep
from benchmarks.consumer import drain, fill
from event_trio.broker.aws import Aws, sqs
from event_trio.broker.names import BrokerNames
from event_trio.consumer.settings import ConsumerSettings
from event_trio.contracts.orders import OrderConfirmed
from event_trio.envelope import uuid7
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of

GROUPS, EACH = 1000, 10
# How much worse than the baseline a count may be. Calls depend a little on how fast the broker answers.
TOLERANCE = {"receive_calls": 1.1, "delete_calls": 1.1, "aws_calls": 1.1}
# Beside one commit for each event there are connections, and loops that look every second whether something is due.
MOST = {"aws_calls": 0.25, "commits_beside": 200}


@pytest.fixture
def quiet() -> Iterator[None]:
    """No line for each event: as text they take more than a third of the time."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(**before)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("quiet")
async def test_the_consumer_costs_no_more_than_it_did(
    notifications_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    payload = OrderConfirmed(order_id=uuid7(), customer_id="customer-1")
    groups = [f"group-{number}" for number in range(GROUPS)]
    events = [
        envelope_of(payload, subject=group, sequence=sequence) for sequence in range(1, EACH + 1) for group in groups
    ]
    async with sqs(aws) as client:
        name = topology.queue("notification", "order-events")
        await fill(client, (await client.get_queue_url(QueueName=name))["QueueUrl"], events)
    settings = ConsumerSettings(
        database_url=SecretStr(notifications_database.url_for("notification_api")),
        aws_endpoint_url=aws.endpoint_url,
        topology_prefix=topology.prefix,
        queue_wait_seconds=2,
    )
    cost, handled = await drain(notifications_database.url, settings, events=len(events), groups=GROUPS, seconds=200)
    print(cost)  # noqa: T201 - shown when it fails, and with -s
    assert dict(handled) == {group: list(range(1, EACH + 1)) for group in groups}
    if os.environ.get("KEEP_BASELINE"):
        keep("consumer", asdict(cost))
    for name, most in MOST.items():
        assert getattr(cost, name) <= most, f"{name}: {getattr(cost, name)}, at most {most}"
    known = baseline("consumer")
    for name, factor in TOLERANCE.items():
        assert getattr(cost, name) <= known[name] * factor, f"{name}: {getattr(cost, name)}, was {known[name]}"
