"""A subscriber comes and goes while events flow: nobody misses one, and the publisher does not notice."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest

from event_trio.broker.aws import Aws, sns
from event_trio.broker.names import BrokerNames
from event_trio.contracts.orders import OrderConfirmed
from event_trio.envelope import Envelope, uuid7
from infra.deploy import delete, deploy
from infra.manifest import TEMPLATES
from tests.support.events import envelope_of
from tests.support.readers import drain_queue, drain_until, first_sequences
from tests.support.waiting import eventually
from tools.scaffold.writing import render

OWN = [
    TEMPLATES / f"{name}.yaml" for name in ("order-events", "notification-order-events", "order-events-publish-check")
]
GROUPS = 4
PAUSE_SECONDS = 0.02


class Traffic:
    """A publisher that goes on: several groups side by side, within each one event after the other's answer."""

    def __init__(self, aws: Aws, names: BrokerNames) -> None:
        self._aws = aws
        self._topic = f"arn:aws:sns:{aws.region}:000000000000:{names.topic('order-events')}"
        self._subjects = [str(uuid7()) for _ in range(GROUPS)]
        self.sent = dict.fromkeys(self._subjects, 0)

    @property
    def total(self) -> int:
        return sum(self.sent.values())

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        async with sns(self._aws) as client:

            async def publish(subject: str) -> None:
                payload = OrderConfirmed(order_id=UUID(subject), customer_id="customer-1")
                while not stopping.is_set():
                    envelope = envelope_of(payload, subject=subject, sequence=self.sent[subject] + 1)
                    await client.publish(
                        TopicArn=self._topic,
                        Message=envelope.to_bytes().decode(),
                        MessageGroupId=subject,
                        MessageDeduplicationId=str(envelope.id),
                        MessageAttributes={"type": {"DataType": "String", "StringValue": envelope.type}},
                    )
                    self.sent[subject] += 1
                    # The faster the broker is, the more it would have to keep, for which it takes longer and longer.
                    await asyncio.sleep(PAUSE_SECONDS)

            async with asyncio.TaskGroup() as group:
                for subject in self._subjects:
                    group.create_task(publish(subject))
                try:
                    yield
                finally:
                    stopping.set()

    async def more(self, count: int = 5) -> None:
        """Wait until every group has had so many more events."""
        goal = {subject: number + count for subject, number in self.sent.items()}

        async def reached() -> bool:
            return all(self.sent[subject] >= number for subject, number in goal.items())

        await eventually(reached, timeout=30.0)


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    path = tmp_path / "audit-order-events.yaml"
    path.write_text(render("subscriber", service="audit", topic="order-events", events=["order.confirmed"]))
    return path


async def test_a_subscriber_comes_and_goes_under_traffic(aws: Aws, newcomer: Path) -> None:
    prefix = f"t{secrets.token_hex(4)}-"
    names, everything = BrokerNames(prefix), [*OWN, newcomer]
    try:
        await deploy(aws, prefix=prefix, templates=OWN)
        traffic = Traffic(aws, names)
        async with traffic.flowing():
            await traffic.more()
            await deploy(aws, prefix=prefix, templates=everything)
            there_from = dict(traffic.sent)
            await traffic.more()
            there_until = dict(traffic.sent)

            def is_complete(arrived: list[Envelope]) -> bool:
                latest = {subject: numbers[-1] for subject, numbers in first_sequences(arrived).items()}
                return all(latest.get(subject, 0) >= number for subject, number in there_until.items())

            arrived = await drain_until(aws, names.queue("audit", "order-events"), is_complete, seconds=60.0)
            await delete(aws, prefix=prefix, templates=everything, only=[newcomer.stem])
            await traffic.more()
        kept = await drain_queue(aws, names.queue("notification", "order-events"), traffic.total, seconds=60.0)
        confirmed = await drain_queue(aws, names.publish_check("order-events"), traffic.total, seconds=60.0)
    finally:
        await delete(aws, prefix=prefix, templates=everything)
    whole = {subject: list(range(1, number + 1)) for subject, number in traffic.sent.items()}
    assert first_sequences(kept) == whole
    assert first_sequences(confirmed) == whole
    assert set(first_sequences(arrived)) == set(whole)
    for subject, sequences in first_sequences(arrived).items():
        assert sequences[0] <= there_from[subject] + 1  # nothing is missing since it was there,
        assert all(after == before + 1 for before, after in pairwise(sequences))  # nor between
