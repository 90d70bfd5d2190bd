"""One run: clients work, a fault comes and goes, the system drains, and the histories are written."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.faults.artefacts import Artefacts
from tests.faults.checker.histories import Expectations
from tests.faults.evidence import Evidence
from tests.faults.proxies.broker import BrokerProxy
from tests.faults.recording import Recorder, write_rows
from tests.faults.registry import Fault
from tests.faults.results import Result
from tests.faults.rows import begin_run, committed_rows, effect_count, effect_rows, undrained, unresolved_rows
from tests.faults.system import System
from tests.faults.workload import Client
from tests.support.processes import ROOT
from tests.support.waiting import eventually

WARM_EFFECTS = 6
CLIENTS = 4
PAUSE_SECONDS = 0.08
"""Pause of a client between two requests: two cores carry the whole system."""
DRAIN_PAUSE_SECONDS = 0.2
"""Between two looks at all rows of the run, which cost the processors something."""
LONGEST_FAULT_SECONDS = 150.0


@dataclass
class Run:
    """What a fault may use."""

    system: System
    dice: random.Random
    folder: Path
    prefix: str
    clients: list[Client] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    later: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    async def lasts(self, shortest: float, longest: float | None = None) -> None:
        """Let the fault last for a time that the seed chooses."""
        await asyncio.sleep(self.dice.uniform(shortest, longest or shortest * 1.5))

    async def until(self, check: Callable[[], Awaitable[object]], *, timeout: float = 30.0) -> None:
        """Wait for a condition."""
        await eventually(check, timeout=timeout)

    async def hits(self, count: int, *actions: str, timeout: float = 20.0) -> None:
        """Wait until the relays' proxy applied its fault to so many calls."""
        await self._hits(self.system.relay_broker, count, actions, timeout)

    async def consumer_hits(self, count: int, *actions: str, timeout: float = 20.0) -> None:
        """Wait until the consumers' proxy applied its fault to so many calls."""
        await self._hits(self.system.sink_broker, count, actions, timeout)

    async def _hits(self, proxy: BrokerProxy, count: int, actions: Sequence[str], timeout: float) -> None:
        async def enough() -> bool:
            return sum(proxy.hits.get(action, 0) for action in actions) >= count

        await eventually(enough, timeout=timeout)

    async def more_operations(self, count: int, *, timeout: float = 60.0) -> None:
        """Wait until clients had so many more answers."""
        wanted = self.succeeded + count

        async def enough() -> bool:
            return self.succeeded >= wanted

        await eventually(enough, timeout=timeout)

    async def more_effects(self, count: int, *, timeout: float = 60.0) -> None:
        """Wait until so many more events took effect."""
        wanted = await effect_count(self.system, self.prefix) + count

        async def enough() -> bool:
            return await effect_count(self.system, self.prefix) >= wanted

        await eventually(enough, timeout=timeout)

    @property
    def succeeded(self) -> int:
        """How many requests of clients succeeded."""
        return sum(client.succeeded for client in self.clients)

    @property
    def began(self) -> float:
        """Since when it is observed what shows the fault."""
        return self.evidence.began

    def forget(self) -> None:
        """Look for what shows the fault from now on; what was seen until now has other causes."""
        self.evidence.begin()

    def afterwards(self, repair: Callable[[], Awaitable[object]]) -> None:
        """Do this when nobody looks for what shows the fault any more."""
        self.later.append(repair)

    def report(self, where: str) -> None:
        """Note that something showed the fault, after having seen it."""
        self.evidence.add(where)


async def execute(system: System, faults: Sequence[Fault], seed: int, number: int, folder: Path) -> Result:
    """Run these faults at the same time, and check the histories. Raises FaultSkipped."""
    dice = random.Random(f"{seed}/{'+'.join(str(fault.number) for fault in faults)}")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(system, dice, folder, f"r{number}c")
    recorder = Recorder(folder / "run.jsonl")
    expectations = merged(faults)
    recorder.write("expectations", **asdict(expectations))
    await begin_run(system)
    artefacts = Artefacts([system.folder, folder, *system.servers.logs])
    stop = asyncio.Event()
    run.clients = [
        Client(f"{run.prefix}{n}", system.order.url, folder, random.Random(dice.random()), PAUSE_SECONDS)
        for n in range(CLIENTS)
    ]
    working = [asyncio.create_task(client.run(stop, hot=n == 0)) for n, client in enumerate(run.clients)]
    probing = asyncio.create_task(run.evidence.watch(system.actors))
    try:
        await run.more_effects(WARM_EFFECTS)
        run.evidence.begin()
        recorder.write("fault")
        try:
            async with asyncio.timeout(LONGEST_FAULT_SECONDS):
                await asyncio.gather(*(fault.inject(run) for fault in faults))
        finally:
            system.clear()
        recorder.write("recovered")
        recovered = time.monotonic()
        await run.more_operations(CLIENTS)
        stop.set()
        await asyncio.gather(*working)
        drained = await _drain(run, expectations, confirmed=all(fault.confirmed for fault in faults))
        if drained:
            recorder.write("drained")
        took = time.monotonic() - recovered
    finally:
        stop.set()
        for task in (*working, probing):
            task.cancel()
        await asyncio.gather(*working, probing, return_exceptions=True)
    seen = run.evidence.found(system.actors, run.clients)
    for repair in run.later:
        await repair()
    await _dump(run)
    run.evidence.disclosed.update(artefacts.disclosing())
    for where in sorted(seen):
        recorder.write("reported", where=where)
    for where in sorted(run.evidence.disclosed):
        recorder.write("disclosed", where=where)
    recorder.close()
    summary, violations = _check(folder)
    return Result(tuple(fault.number for fault in faults), seed, summary, violations, took if drained else None)


def merged(faults: Sequence[Fault]) -> Expectations:
    """What several faults at once may cause."""
    first, *rest = (fault.expectations for fault in faults)
    for other in rest:
        first = replace(
            first,
            stale=first.stale or other.stale,
            unresolved=first.unresolved or other.unresolved,
            reported=first.reported or other.reported,
            progress=first.progress and other.progress,
            orders=first.orders and other.orders,
            quiet=first.quiet and other.quiet,
            drain_seconds=first.drain_seconds + other.drain_seconds,
        )
    return first


async def _drain(run: Run, expectations: Expectations, *, confirmed: bool) -> bool:
    async def done() -> bool:
        left = await undrained(run.system, run.prefix, confirmed=confirmed)
        if left:
            await asyncio.sleep(DRAIN_PAUSE_SECONDS)
        assert not left, left
        return True

    try:
        await eventually(done, timeout=expectations.drain_seconds + 5.0)
    except AssertionError as error:
        (run.folder / "undrained.txt").write_text(str(error))
        return False
    return True


async def _dump(run: Run) -> None:
    write_rows(run.folder / "committed.jsonl", "committed", await committed_rows(run.system, run.prefix))
    write_rows(run.folder / "effects.jsonl", "effect", await effect_rows(run.system, run.prefix))
    write_rows(run.folder / "unresolved.jsonl", "unresolved", await unresolved_rows(run.system, run.prefix))
    lines = [json.loads(line) for line in (run.system.folder / "broker.jsonl").read_text().splitlines()]
    mine = [line for line in lines if str(line["key"]).startswith(run.prefix)]
    for kind, name in (("accepted", "broker-1.jsonl"), ("returned", "returned-1.jsonl")):
        rows = [{key: value for key, value in line.items() if key not in ("n", "kind")}
                for line in mine if line["kind"] == kind]  # fmt: skip
        write_rows(run.folder / name, kind, rows)


def _check(folder: Path) -> tuple[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.checker.main", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines() or [done.stderr]
    (folder / "verdict.txt").write_text(done.stdout + done.stderr)
    return lines[0], lines[1:] if done.returncode == 1 else ([] if done.returncode == 0 else [done.stderr])
