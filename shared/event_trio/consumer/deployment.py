"""Describes the queues and the subscription of a consumer as they exist in the broker, beside what the code handles."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..broker.aws import topic_arn_beside
from ..broker.queue import Queue
from ..broker.topology import ConsumerTopology, QueueDescription, describe_queue, describe_topic
from .policies import DeadLetter, FailurePolicy, Ignore, PublishFailure, Rest, Retry, RetryInPlace
from .router import Router

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient


class ConsumerDeployment:
    """The deployment of one consumer. Queues and the topic may be unknown, and are then not described."""

    def __init__(
        self,
        client: SNSClient,
        topic: str | None,
        queue: Queue,
        dead_letter_queue: Queue | None,
        undelivered_queue: Queue | None,
        router: Router,
    ) -> None:
        self._client = client
        self._topic = topic
        self._queues = (queue, dead_letter_queue, undelivered_queue)
        self._router = router

    async def describe(self) -> ConsumerTopology:
        """Describe what exists; a resource that cannot be read has a problem instead."""
        queue, dead_letters, undelivered = await asyncio.gather(*map(_described, self._queues))
        topic = None
        if self._topic is not None and queue is not None and queue.arn is not None:
            topic = await describe_topic(self._client, topic_arn_beside(queue.arn, self._topic), only=queue.arn)
        handles = tuple((type, describe_policy(policy)) for type, policy in sorted(self._router.policies.items()))
        return ConsumerTopology(topic, queue, dead_letters, undelivered, handles)


def describe_policy(policy: FailurePolicy) -> str:
    """A failure policy in the form of the setting FAILURE_POLICIES."""
    match policy:
        case Ignore():
            return "ignore"
        case PublishFailure():
            return "publish_failure"
        case DeadLetter(rest):
            return "dead_letter" if rest is Rest.PASS else f"dead_letter(rest={rest})"
        case RetryInPlace():
            return f"retry in place for {policy.within:g} s then {describe_policy(policy.then)}"
        case Retry():
            arguments = (
                f"attempts={policy.attempts}, delay={policy.delay:g}, unit={policy.unit.name.lower()}, "
                f"backoff={policy.backoff:g}, rest={policy.rest}"
            )
            return f"retry({arguments}) then {describe_policy(policy.then)}"


async def _described(queue: Queue | None) -> QueueDescription | None:
    return None if queue is None else await describe_queue(queue)
