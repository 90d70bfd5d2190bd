"""What surrounds a queue of SQS: the drains of its dead-letter queues, and the comparison with its deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..broker.names import BrokerNames, dead_letters, undelivered
from ..broker.queue import Queue
from ..broker.source import MessageSource
from ..lifecycle import Loop
from ..signals import Signals
from .decoders import Decoder
from .deployment import ConsumerDeployment
from .deployment_check import DeploymentCheck
from .metrics import ConsumerMetrics
from .options import ConsumerOptions
from .router import Router
from .sources.dead_letter_queues import DeadLetterQueueDrain

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

DEAD_LETTER_WAIT_SECONDS = 1
"""Dead-letter queues are nearly always empty, so they are read now and then, without a long poll."""


@dataclass(frozen=True, slots=True)
class Source:
    """The queue that a consumer reads, and the queues and the topic around it. Each queue is given by name or URL."""

    queue: str | MessageSource
    """A source of another broker has nothing around it."""
    dead_letter_queue: str | None = None
    """The queue to which SQS moves messages that were received too often (`maxReceiveCount`)."""
    undelivered_queue: str | None = None
    """The queue to which SNS sends messages that it could not deliver to `queue`."""
    topic: str | None = None
    """The topic whose subscription is compared with the handlers; needs `dead_letter_queue`."""

    @classmethod
    def of(cls, consumer: str, domain: str, names: BrokerNames) -> Source:
        """The queues of a subscriber of a domain by this project's names."""
        queue = names.queue(consumer, domain)
        return cls(queue, dead_letters(queue), undelivered(queue), names.topic(domain))

    @property
    def name(self) -> str:
        """The name of the queue."""
        return self.queue.rpartition("/")[2] if isinstance(self.queue, str) else self.queue.name


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of a consumer of SQS."""

    sqs: SQSClient
    sns: SNSClient

    def queue(self, where: str) -> Queue:
        """The queue of that name or URL."""
        return Queue(self.sqs, where.rpartition("/")[2], url=where) if "://" in where else Queue(self.sqs, where)


@dataclass(frozen=True, slots=True)
class QueueSurroundings:
    """The loops beside a consumer of SQS, and what describes its deployment."""

    loops: tuple[Loop, ...]
    deployment: ConsumerDeployment

    @classmethod
    def of(
        cls,
        consumer: str,
        source: Source,
        queue: Queue,
        clients: Clients,
        router: Router,
        options: ConsumerOptions,
        sessions: async_sessionmaker[AsyncSession],
        metrics: ConsumerMetrics,
        signals: Signals,
        decoder: Decoder,
    ) -> QueueSurroundings:
        """Build them for the queues that the source names."""
        loops: list[Loop] = []
        for loop, where, reason in (
            ("received-too-often", source.dead_letter_queue, "received_too_often"),
            ("undelivered", source.undelivered_queue, "undelivered"),
        ):
            if where is not None:
                loops.append(
                    DeadLetterQueueDrain(
                        loop,
                        consumer,
                        clients.queue(where),
                        sessions,
                        metrics,
                        signals,
                        reason=reason,
                        wait_seconds=min(options.queue_wait_seconds, DEAD_LETTER_WAIT_SECONDS),
                        decoder=decoder,
                    )
                )
        if source.topic is not None and source.dead_letter_queue is not None:
            check = DeploymentCheck(
                clients.sns,
                source.topic,
                queue,
                clients.queue(source.dead_letter_queue),
                router,
                metrics,
                signals,
                inbox_days=options.inbox_retention_days,
                outbox_days=options.outbox_retention_days,
            )
            loops.append(check)
        dead_letters_of, undelivered_of = (
            None if where is None else clients.queue(where)
            for where in (source.dead_letter_queue, source.undelivered_queue)
        )
        deployment = ConsumerDeployment(clients.sns, source.topic, queue, dead_letters_of, undelivered_of, router)
        return cls(tuple(loops), deployment)
