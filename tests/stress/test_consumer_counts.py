"""The cost of a consumer per event, compared with the baseline, in counts that do not depend on the machine."""

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
# The factor by which a count may exceed the baseline. Calls depend slightly on the speed of the broker.
TOLERANCE = {"receive_calls": 1.1, "delete_calls": 1.1, "aws_calls": 1.1}
# In addition to one commit for each event, connections and loops that poll every second commit.
LIMITS = {"aws_calls": 0.25, "commits_beside": 200}


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log no line for each event: formatting them takes more than a third of the time."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.configure(**before)


@pytest.mark.timeout(480)
@pytest.mark.usefixtures("quiet")
async def test_the_consumer_costs_no_more_than_the_baseline(
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
    cost, handled = await drain(notifications_database.url, settings, events=len(events), groups=GROUPS, seconds=400)
    print(cost)  # noqa: T201 - shown when it fails, and with -s
    assert dict(handled) == {group: list(range(1, EACH + 1)) for group in groups}
    if os.environ.get("KEEP_BASELINE"):
        keep("consumer", asdict(cost))
    for name, limit in LIMITS.items():
        assert getattr(cost, name) <= limit, f"{name}: {getattr(cost, name)}, at most {limit}"
    known = baseline("consumer")
    for name, factor in TOLERANCE.items():
        assert getattr(cost, name) <= known[name] * factor, f"{name}: {getattr(cost, name)}, was {known[name]}"
