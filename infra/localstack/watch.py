"""Deploys the topology to LocalStack, watches it, and puts back what LocalStack forgot or somebody deleted."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from event_trio.broker.aws import BROKER_FAULTS, Aws, error_code, sns, sqs
from event_trio.errors import EventTrioError
from event_trio.lifecycle import Supervisor, pause
from event_trio.observability import logging
from event_trio.settings import fail, load
from event_trio.signals import Signals
from infra import manifest
from infra.deploy import StackProgress, connect, delete, deploy
from infra.drift import differences
from infra.localstack.inventory import BrokerInventory, Declared, MissingResources, declared
from infra.localstack.settings import TopologySettings
from infra.stacks import StackChange

log = structlog.get_logger(__name__)

# While LocalStack is away it is asked more often than the watch looks: everything waits for its return.
RETRY_SECONDS = 0.5
# Attributes are compared less often than existence: it takes some twenty calls.
COMPARE_SECONDS = 30.0


class TopologyWatch:
    """The loop that keeps one topology. It deletes queues, so it is for LocalStack only.

    What was altered but is there is only told, as a warning: somebody may be trying something.

    A stack of which something is gone is deleted and deployed again, with those that depend on it: CloudFormation
    believes that the resource is there, and an update would change nothing.
    """

    name = "topology"

    def __init__(
        self,
        aws: Aws,
        *,
        prefix: str = "",
        watch_seconds: float = 1.5,
        compare_seconds: float = COMPARE_SECONDS,
        ready_file: Path | None = None,
        templates: Sequence[Path] | None = None,
        signals: Signals | None = None,
    ) -> None:
        self._aws = aws
        self._prefix = prefix
        self._watch_seconds = watch_seconds
        self._compare_seconds = compare_seconds
        self._compare_at = 0.0
        self._altered: list[str] = []
        self._ready_file = ready_file
        self._paths = templates
        self._templates = manifest.load(templates)
        self._signals = signals or Signals()
        self._expected: Declared | None = None
        self._trouble: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Look, repair, wait, until asked to stop. A repair that has begun is finished first."""
        self._unready()
        try:
            async with sns(self._aws) as topics, sqs(self._aws) as queues:
                broker = BrokerInventory(topics, queues, self._prefix)
                while not stopping.is_set():
                    healthy = await self._look(broker)
                    await pause(stopping, self._watch_seconds if healthy else min(RETRY_SECONDS, self._watch_seconds))
        finally:
            self._unready()

    async def _look(self, broker: BrokerInventory) -> bool:
        before = self._expected
        try:
            absent = await broker.missing(self._expected) if self._expected is not None else []
            if self._expected is None or absent:
                self._unready()
                absent = await broker.missing(await self._repair(absent))
            if not absent:
                await self._compare()
        except EventTrioError as error:
            self._remember(before)
            return self._is_in_trouble("topology.failed", str(error))
        except BROKER_FAULTS as error:
            self._remember(before)
            return self._is_in_trouble("topology.unreachable", f"{self._aws.endpoint_url}: {error_code(error)}")
        if absent:
            return self._is_in_trouble("topology.incomplete", ", ".join(map(str, absent)))
        if self._trouble is not None:
            log.info("the topology is complete again", action="topology.recovered", prefix=self._prefix)
            self._trouble = None
        if self._ready_file is not None:
            self._ready_file.touch()
        self._signals.emit("topology.complete")
        return True

    def _remember(self, before: Declared | None) -> None:
        """After a repair that failed, look for what was there before it: more may have gone meanwhile, such as the
        topic whose subscriptions were seen to go first, and CloudFormation believes that it is still there.
        """
        self._expected = self._expected or before

    async def _repair(self, absent: Sequence[MissingResources]) -> Declared:
        self._expected = None
        if absent:
            names = [part.template for part in absent]
            again = [template.name for template in manifest.dependants(self._templates, names)]
            log.warning(
                "parts of the topology are gone: their stacks are made again",
                action="topology.drifted",
                missing=[str(part) for part in absent],
                stacks=again,
                prefix=self._prefix,
            )
            await delete(self._aws, prefix=self._prefix, templates=self._paths, only=again, on_progress=self._tell)
        await deploy(self._aws, prefix=self._prefix, templates=self._paths, on_progress=self._tell)
        async with connect(self._aws) as stacks:
            found = await declared(stacks, self._prefix, self._templates)
        self._expected = found
        log.info("the topology is deployed", action="topology.deployed", stacks=len(found), prefix=self._prefix)
        self._signals.emit("topology.deployed", repaired=[part.template for part in absent])
        return found

    async def _compare(self) -> None:
        if time.monotonic() < self._compare_at:
            return
        found = [str(part) for part in await differences(self._aws, prefix=self._prefix, templates=self._paths)]
        if found and found != self._altered:
            log.warning("the topology was altered", action="topology.altered", differences=found, prefix=self._prefix)
            self._signals.emit("topology.altered", differences=found)
        if self._altered and not found:
            log.info("the topology is as declared again", action="topology.unaltered", prefix=self._prefix)
            self._signals.emit("topology.unaltered")
        self._altered = found
        self._compare_at = time.monotonic() + self._compare_seconds

    def _tell(self, progress: StackProgress) -> None:
        level = log.debug if progress.change is StackChange.UNCHANGED else log.info
        level(
            "stack settled",
            action="topology.stack",
            stack=progress.stack,
            change=progress.change.value,
            seconds=round(progress.seconds, 2),
        )

    def _is_in_trouble(self, action: str, reason: str) -> bool:
        """Log a trouble once, however long it lasts."""
        self._unready()
        if reason != self._trouble:
            log.warning("the topology cannot be kept", action=action, reason=reason, prefix=self._prefix)
            self._trouble = reason
        self._signals.emit(action)
        return False

    def _unready(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)


async def keep(settings: TopologySettings) -> None:
    """Keep the topology until SIGTERM or SIGINT."""
    watch = TopologyWatch(
        Aws(settings.aws_region, settings.aws_endpoint_url),
        prefix=settings.topology_prefix,
        watch_seconds=settings.watch_seconds,
        ready_file=settings.ready_file,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    supervisor = Supervisor([watch], drain_seconds=10.0)
    await supervisor.start()
    await stopping.wait()
    await supervisor.stop()


def run() -> None:
    """Start from the environment; a setting that is missing or wrong ends it with status 2 and a sentence."""
    settings = load(TopologySettings)
    logging.configure("topology", settings.log_level, settings.log_format, sys.stdout)
    try:
        asyncio.run(keep(settings))
    except EventTrioError as error:
        fail(str(error))


if __name__ == "__main__":
    run()
