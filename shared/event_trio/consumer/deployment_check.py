"""Compares the deployment with what the code expects: the subscription's filter, and the retention."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ..backoff import Backoff
from ..broker.queue import Queue
from ..broker.subscription import filtered_types
from ..errors import BrokerUnavailable
from ..lifecycle import pause
from ..signals import Signals
from .metrics import ConsumerMetrics
from .router import Router

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 600.0
BROKER_DOWN = Backoff(first=1.0, factor=2.0, cap=60.0, jitter=0.5)
DAY = 86_400.0


class DeploymentCheck:
    """A loop for the supervisor: at the start, and every ten minutes. A difference is a warning and a metric."""

    name = "deployment-check"

    def __init__(
        self,
        client: SNSClient,
        topic: str,
        queue: Queue,
        dead_letter_queue: Queue,
        router: Router,
        metrics: ConsumerMetrics,
        signals: Signals,
        *,
        inbox_days: float,
        outbox_days: float,
    ) -> None:
        self._client = client
        self._topic = topic
        self._queue = queue
        self._dead_letter_queue = dead_letter_queue
        self._router = router
        self._metrics = metrics
        self._signals = signals
        self._inbox_days = inbox_days
        self._outbox_days = outbox_days

    async def run(self, stopping: asyncio.Event) -> None:
        """Check until asked to stop."""
        failures = 0
        while not stopping.is_set():
            try:
                await self.check()
            except BrokerUnavailable as error:
                failures += 1
                log.debug("the deployment cannot be checked", action="deployment.not_checked", error=str(error))
                await pause(stopping, BROKER_DOWN.delay(failures))
                continue
            failures = 0
            await pause(stopping, AGAIN_SECONDS)

    async def check(self) -> None:
        """Check once; raises BrokerUnavailable."""
        attributes = await self._queue.attributes()
        filtered = await filtered_types(self._client, topic=self._topic, queue_arn=attributes["QueueArn"])
        kept = float(attributes["MessageRetentionPeriod"]) / DAY
        kept_as_dead_letter = float((await self._dead_letter_queue.attributes())["MessageRetentionPeriod"]) / DAY
        self._compare_filter(filtered)
        self._compare_retention(kept + kept_as_dead_letter)
        self._signals.emit("deployment.checked")

    def _compare_filter(self, filtered: frozenset[str] | None) -> None:
        handled = self._router.types
        unhandled, undelivered = (
            (filtered or frozenset()) - handled,
            handled - (handled if filtered is None else filtered),
        )
        differs = filtered is None or bool(unhandled or undelivered)
        self._metrics.deployment_differs.labels("filter").set(differs)
        if differs:
            log.warning(
                "the subscription's filter and the handlers differ",
                action="deployment.filter_differs",
                topic=self._topic,
                filters=filtered is not None,
                without_handler=sorted(unhandled),
                never_delivered=sorted(undelivered),
            )

    def _compare_retention(self, queues: float) -> None:
        needed = self._outbox_days + queues
        short = self._inbox_days < needed
        self._metrics.deployment_differs.labels("retention").set(short)
        if short:
            log.error(
                "inbox rows are pruned before the last repetition can arrive: raise INBOX_RETENTION_DAYS",
                action="deployment.retention_short",
                days=self._inbox_days,
                needed=round(needed, 2),
            )
