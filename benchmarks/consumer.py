"""What a consumer costs per event: empties a full queue on a real LocalStack, and counts."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.counting import counted
from event_trio.broker.queue import BATCH
from event_trio.consumer.build import Subscription, consuming
from event_trio.consumer.event import Event
from event_trio.consumer.policies import DeadLetter
from event_trio.consumer.router import Router
from event_trio.consumer.settings import ConsumerSettings
from event_trio.contracts.orders import OrderConfirmed
from event_trio.database.connections import create_engine
from event_trio.envelope import Envelope
from event_trio.lifecycle import Supervisor
from event_trio.signals import Signals

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

SUBSCRIPTION = Subscription("notification", "order-events")
FILLING_AT_ONCE = 4
CONNECTIONS = 20
"""As a service keeps them: above its concurrency, or connections come and go with every event."""


@dataclass(frozen=True)
class ConsumerCost:
    """Per event, but for the first three and the last."""

    events: int
    groups: int
    seconds: float
    receive_calls: float
    delete_calls: float
    aws_calls: float
    commits: float
    commits_beside: int
    """Commits beyond one for each event, of the loops that look now and then whether there is something."""


async def fill(client: SQSClient, url: str, events: Iterable[Envelope]) -> None:
    """Put events into a queue, past topic and relay."""
    waiting, room = list(events), asyncio.Semaphore(FILLING_AT_ONCE)

    async def send(batch: list[Envelope]) -> None:
        async with room:
            answer = await client.send_message_batch(
                QueueUrl=url,
                Entries=[
                    {
                        "Id": str(index),
                        "MessageBody": event.to_bytes().decode(),
                        "MessageGroupId": event.partitionkey,
                        "MessageDeduplicationId": str(event.id),
                    }
                    for index, event in enumerate(batch)
                ],
            )
            if answer.get("Failed"):
                raise RuntimeError(f"not sent: {answer['Failed']}")

    async with asyncio.TaskGroup() as sending:
        for start in range(0, len(waiting), BATCH):
            sending.create_task(send(waiting[start : start + BATCH]))


async def drain(
    owner_url: str, settings: ConsumerSettings, *, events: int, groups: int, seconds: float
) -> tuple[ConsumerCost, dict[str, list[int]]]:
    """Run one consumer until so many events are out of the queue, and count what that took.

    Its handler writes nothing: what is counted is the consumer's own. Returns also the sequences that were handled, by
    group. Raises TimeoutError when it is not done within `seconds`.
    """
    gone, handled = _Acknowledged(events), defaultdict[str, list[int]](list)

    async def record(_: AsyncSession, event: Event[OrderConfirmed], __: None) -> None:
        handled[event.envelope.partitionkey].append(event.envelope.sequence_number)

    router = Router()
    router.handle(OrderConfirmed, record, policy=DeadLetter())
    before = await _commits(owner_url)
    began = time.monotonic()
    with counted() as asked:
        async with _running(router, settings, gone):
            async with asyncio.timeout(seconds):
                await gone.all.wait()
            taken = time.monotonic() - began
    commits = await _commits(owner_url) - before
    cost = ConsumerCost(
        events=events,
        groups=groups,
        seconds=round(taken, 1),
        receive_calls=round(asked.aws["ReceiveMessage"] / events, 4),
        delete_calls=round(asked.aws["DeleteMessageBatch"] / events, 4),
        aws_calls=round(asked.aws.total() / events, 4),
        commits=round(commits / events, 4),
        commits_beside=commits - events,
    )
    return cost, handled


@asynccontextmanager
async def _running(router: Router, settings: ConsumerSettings, signals: Signals) -> AsyncIterator[None]:
    """A consumer as a service runs it, with all its loops; at the end it drains."""
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application_name="benchmark", pool_size=CONNECTIONS)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    try:
        async with consuming(
            SUBSCRIPTION, router, settings, sessions, CollectorRegistry(), signals, after_commit=lambda: None
        ) as parts:
            supervisor = Supervisor(parts.loops, drain_seconds=settings.drain_seconds, signals=signals)
            await supervisor.start()
            try:
                yield
            finally:
                await supervisor.stop()
    finally:
        await engine.dispose()


class _Acknowledged(Signals):
    """Counts what was deleted; it keeps nothing, for there are many signals."""

    def __init__(self, wanted: int) -> None:
        super().__init__(kept=0)
        self.all = asyncio.Event()
        self._left = wanted

    def emit(self, name: str, **facts: object) -> None:
        if name == "consumer.acknowledged":
            self._left -= 1
            if not self._left:
                self.all.set()


async def _commits(owner_url: str) -> int:
    """What the server has counted, of everybody in this database."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        counted = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(counted))
    finally:
        await connection.close()
