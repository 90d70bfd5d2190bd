"""Measures the cost of a consumer per event: it processes a full queue of a real LocalStack."""

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

from benchmarks.counting import count_calls
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
CONCURRENT_SENDS = 4
CONNECTIONS = 20
"""As in a service, more than its concurrency: otherwise every event opens and closes connections."""


@dataclass(frozen=True)
class ConsumerCost:
    """The costs per event, except for the first three fields and the last."""

    events: int
    groups: int
    seconds: float
    receive_calls: float
    delete_calls: float
    aws_calls: float
    commits: float
    commits_beside: int
    """Commits in addition to one for each event, by the loops that poll periodically."""


async def fill(client: SQSClient, url: str, events: Iterable[Envelope]) -> None:
    """Send events to a queue directly, without topic and relay."""
    waiting, slots = list(events), asyncio.Semaphore(CONCURRENT_SENDS)

    async def send(batch: list[Envelope]) -> None:
        async with slots:
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
    """Run one consumer until this many events are deleted from the queue.

    Its handler writes nothing, so only the statements of the consumer are counted. Also returns the processed sequences
    by group. Raises TimeoutError after `seconds`.
    """
    gone, handled = _Acknowledged(events), defaultdict[str, list[int]](list)

    async def record(_: AsyncSession, event: Event[OrderConfirmed], __: None) -> None:
        handled[event.envelope.partitionkey].append(event.envelope.sequence_number)

    router = Router()
    router.handle(OrderConfirmed, record, policy=DeadLetter())
    before = await _commits(owner_url)
    began = time.monotonic()
    with count_calls() as counts:
        async with _running(router, settings, gone):
            async with asyncio.timeout(seconds):
                await gone.all.wait()
            taken = time.monotonic() - began
    commits = await _commits(owner_url) - before
    cost = ConsumerCost(
        events=events,
        groups=groups,
        seconds=round(taken, 1),
        receive_calls=round(counts.aws["ReceiveMessage"] / events, 4),
        delete_calls=round(counts.aws["DeleteMessageBatch"] / events, 4),
        aws_calls=round(counts.aws.total() / events, 4),
        commits=round(commits / events, 4),
        commits_beside=commits - events,
    )
    return cost, handled


@asynccontextmanager
async def _running(router: Router, settings: ConsumerSettings, signals: Signals) -> AsyncIterator[None]:
    """A consumer with all its loops, as in a service; it drains at the end of the block."""
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
    """Counts the acknowledged messages without storing signals, because there are many."""

    def __init__(self, wanted: int) -> None:
        super().__init__(kept=0)
        self.all = asyncio.Event()
        self._remaining = wanted

    def emit(self, name: str, **facts: object) -> None:
        if name == "consumer.acknowledged":
            self._remaining -= 1
            if not self._remaining:
                self.all.set()


async def _commits(owner_url: str) -> int:
    """The commits of all sessions in the database, as counted by the server."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
