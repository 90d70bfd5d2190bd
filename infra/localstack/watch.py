"""Deploys the topology to LocalStack, and restores resources that were lost or deleted."""

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
from infra.localstack.inventory import BrokerInventory, DeclaredResources, MissingResources, declared_resources
from infra.localstack.settings import TopologySettings
from infra.stacks import StackChange

log = structlog.get_logger(__name__)

# Pause between two checks while LocalStack is unavailable, because every service waits for it.
RETRY_SECONDS = 0.5
# Attributes are compared less often than existence, because the comparison takes some twenty calls.
COMPARE_SECONDS = 30.0


class TopologyWatch:
    """Checks and repairs one topology. It deletes queues, so it is for LocalStack only.

    A stack with a missing resource is deleted and deployed again, with the stacks that depend on it: for CloudFormation
    the resource still exists, so an update would change nothing. A changed attribute is only logged, as a warning,
    since the change may be intended.
    """

    name = "topology"

    def __init__(
        self,
        aws: Aws,
        *,
        prefix: str = "",
        watch_seconds: float = 3.0,
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
        self._differences: list[str] = []
        self._ready_file = ready_file
        self._paths = templates
        self._templates = manifest.load(templates)
        self._signals = signals or Signals()
        self._expected: DeclaredResources | None = None
        self._problem: str | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Check and repair until `stopping` is set; a repair in progress is finished first."""
        self._unready()
        try:
            async with sns(self._aws) as topics, sqs(self._aws) as queues:
                broker = BrokerInventory(topics, queues, self._prefix)
                while not stopping.is_set():
                    healthy = await self._check(broker)
                    await pause(stopping, self._watch_seconds if healthy else min(RETRY_SECONDS, self._watch_seconds))
        finally:
            self._unready()

    async def _check(self, broker: BrokerInventory) -> bool:
        before = self._expected
        try:
            absent = await broker.missing(self._expected) if self._expected is not None else []
            if self._expected is None or absent:
                self._unready()
                absent = await broker.missing(await self._repair(absent))
            if not absent:
                await self._compare()
        except EventTrioError as error:
            self._restore_expected(before)
            return self._report_problem("topology.failed", str(error))
        except BROKER_FAULTS as error:
            self._restore_expected(before)
            return self._report_problem("topology.unreachable", f"{self._aws.endpoint_url}: {error_code(error)}")
        if absent:
            return self._report_problem("topology.incomplete", ", ".join(map(str, absent)))
        if self._problem is not None:
            log.info("the topology is complete again", action="topology.recovered", prefix=self._prefix)
            self._problem = None
        if self._ready_file is not None:
            self._ready_file.touch()
        self._signals.emit("topology.complete")
        return True

    def _restore_expected(self, before: DeclaredResources | None) -> None:
        """After a failed repair, expect the resources from before it.

        More of them may be missing by now, such as a topic whose subscriptions were deleted first, although for
        CloudFormation they still exist.
        """
        self._expected = self._expected or before

    async def _repair(self, absent: Sequence[MissingResources]) -> DeclaredResources:
        self._expected = None
        if absent:
            names = [part.template for part in absent]
            recreated = [template.name for template in manifest.dependants(self._templates, names)]
            log.warning(
                "resources of the topology are missing: their stacks are being recreated",
                action="topology.drifted",
                missing=[str(part) for part in absent],
                stacks=recreated,
                prefix=self._prefix,
            )
            await delete(
                self._aws, prefix=self._prefix, templates=self._paths, only=recreated, on_progress=_log_progress
            )
        await deploy(self._aws, prefix=self._prefix, templates=self._paths, on_progress=_log_progress)
        async with connect(self._aws) as stacks:
            found = await declared_resources(stacks, self._prefix, self._templates)
        self._expected = found
        log.info("the topology is deployed", action="topology.deployed", stacks=len(found), prefix=self._prefix)
        self._signals.emit("topology.deployed", repaired=[part.template for part in absent])
        return found

    async def _compare(self) -> None:
        if time.monotonic() < self._compare_at:
            return
        found = [str(part) for part in await differences(self._aws, prefix=self._prefix, templates=self._paths)]
        if found and found != self._differences:
            log.warning(
                "the topology differs from its templates",
                action="topology.differs",
                differences=found,
                prefix=self._prefix,
            )
            self._signals.emit("topology.differs", differences=found)
        if self._differences and not found:
            log.info("the topology matches its templates again", action="topology.matches", prefix=self._prefix)
            self._signals.emit("topology.matches")
        self._differences = found
        self._compare_at = time.monotonic() + self._compare_seconds

    def _report_problem(self, action: str, reason: str) -> bool:
        """Log a problem once while it lasts; returns False."""
        self._unready()
        if reason != self._problem:
            log.warning("the topology cannot be restored", action=action, reason=reason, prefix=self._prefix)
            self._problem = reason
        self._signals.emit(action)
        return False

    def _unready(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)


def _log_progress(progress: StackProgress) -> None:
    level = log.debug if progress.change is StackChange.UNCHANGED else log.info
    level(
        "stack deployed or deleted",
        action="topology.stack",
        stack=progress.stack,
        change=progress.change.value,
        seconds=round(progress.seconds, 2),
    )


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
    """Run with settings from the environment; a missing or invalid one ends the process with status 2."""
    settings = load(TopologySettings)
    logging.configure("topology", settings.log_level, settings.log_format, sys.stdout)
    try:
        asyncio.run(keep(settings))
    except EventTrioError as error:
        fail(str(error))


if __name__ == "__main__":
    run()
