"""Runs the system under load with random faults, and tests that nothing grows: `make soak MINUTES=30`.

The exit status is 0 when all is flat and every promise was kept, 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from event_trio.observability import logging
from tests.faults.catalogue import modules as catalogue
from tests.faults.folder import FolderNotUsable, suite_folder
from tests.faults.page import PAGE
from tests.faults.registry import FAULTS, Fault, FaultSkipped
from tests.faults.run import execute
from tests.faults.samples import Sampler
from tests.faults.soak_report import plot, publish, table
from tests.faults.system import System, servers, system

FOLDER = Path(".run/soak")
SAMPLE_SECONDS = 4.0
# Without those that restart processes, after which a leak begins at zero, and without those that leave something for a
# person or send the whole outbox again, which is growth for a reason.
CHOSEN = (3, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 32, 38, 39, 40, 42, 45, 52)


@dataclass
class Soaked:
    """What a soak found."""

    sampler: Sampler
    runs: int = 0
    broken: int = 0


def main() -> int:
    """Run for the given time."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the faults (default 1)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where histories are kept (default {FOLDER})")
    parser.add_argument("--plot", type=Path, help="write the plots to this folder")
    parser.add_argument("--publish", action="store_true", help=f"write the table into {PAGE}")
    given = parser.parse_args()
    logging.configure("soak", level="error")
    catalogue.load()
    folder = given.folder.resolve()
    try:
        with suite_folder(folder, keep=False):
            found = asyncio.run(soak(given.minutes * 60.0, given.seed, folder))
    except FolderNotUsable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    series = found.sampler.series
    print(table(series))
    plot(series, given.plot or folder)
    for each in found.sampler.growing():
        print(f"{each.name} grew by {each.growth:.1f} around {each.median:.1f}")
    print(f"{found.runs} runs, {found.broken} violations")
    if given.publish:
        publish(series, minutes=given.minutes, seed=given.seed, runs=found.runs, broken=found.broken)
    return 1 if found.broken or found.sampler.growing() else 0


async def soak(seconds: float, seed: int, folder: Path) -> Soaked:
    """Inject faults until the time is over."""
    dice = random.Random(seed)
    async with servers(folder / "servers") as made, system(made, folder / "system") as running:
        found, began = Soaked(Sampler(running)), time.monotonic()
        sampling = asyncio.create_task(_sample(found.sampler))
        try:
            while (passed := time.monotonic() - began) < seconds and not sampling.done():
                fault = FAULTS[dice.choice(CHOSEN)]
                say(f"[{passed / 60:5.1f} of {seconds / 60:.0f} min] fault {fault.number}: {fault.what}")
                await _run(running, fault, seed, found, folder)
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
        if not sampling.cancelled():
            sampling.result()  # raises what ended it
    return found


async def _run(running: System, fault: Fault, seed: int, found: Soaked, folder: Path) -> None:
    number = found.runs + 1
    try:
        violations = (await execute(running, [fault], seed, number, folder / f"run-{number:04}")).violations
    except FaultSkipped:
        return
    except (AssertionError, TimeoutError, OSError, httpx.HTTPError) as error:
        violations = [f"the run failed: {error!r}"]
    found.runs += 1
    found.broken += len(violations)
    for violation in violations[:5]:
        say(f"    BROKEN: {violation}")


async def _sample(sampler: Sampler) -> None:
    while True:
        await sampler.sample()
        await asyncio.sleep(SAMPLE_SECONDS)


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
