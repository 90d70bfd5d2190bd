"""What all parts share: the server, its seeds, where logs go, and how much is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess
from benchmarks.suite.databases import migrated
from benchmarks.suite.processes import ROOT, Measured
from benchmarks.suite.reference import checked_out
from benchmarks.suite.sizes import Sizes

POLL_SECONDS = 0.1


@dataclass
class Bench:
    """One run of the suite."""

    admin_url: str
    folder: Path
    sizes: Sizes
    _seeds: dict[str, str] = field(default_factory=dict)
    _reference: Path | None = None

    async def seed(self, service: str, *, source: Path = ROOT) -> str:
        """The migrated database of a service, to copy."""
        name = f"seed_{service}" if source == ROOT else f"seed_{service}_reference"
        if name not in self._seeds:
            self._seeds[name] = await migrated(self.admin_url, service, self.folder, name=name, source=source)
        return self._seeds[name]

    async def reference(self) -> Path | None:
        """The code of the reference revision; None when the clone does not contain it."""
        if self._reference is None:
            self._reference = await checked_out(self.folder)
        return self._reference


async def reported(
    stub: StubBrokerProcess,
    done: Callable[[dict[str, Any]], bool],
    *,
    seconds: float,
    what: str,
    measured: Measured | None = None,
) -> dict[str, Any]:
    """The stub's report as soon as it fulfils `done`.

    Raises TimeoutError after `seconds`, and EmbeddedServerFailed when the measured process has ended.
    """
    deadline = time.monotonic() + seconds
    while True:
        report = await stub.report()
        if done(report):
            return report
        if measured is not None:
            measured.ensure_running()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not done after {seconds:.0f} s; the stub reports {report}")
        await asyncio.sleep(POLL_SECONDS)


def deleted(queue: str, count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether so many messages were deleted from the queue."""
    return lambda report: report["queues"][queue]["deleted"] >= count


def published(topic: str, count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether so many messages were published to the topic."""
    return lambda report: report["topics"][topic]["published"] >= count


def problems(report: dict[str, Any], topic: str, *, who: str) -> list[str]:
    """What a run may not have: events of a topic out of order, repeated or missing."""
    found = report["topics"][topic]
    wrong = {name: found[name] for name in ("order_violations", "repeats", "duplicates", "missing") if found[name]}
    return [f"{who}: {wrong}, for example {found['violation_examples'][:3]}"] if wrong else []
