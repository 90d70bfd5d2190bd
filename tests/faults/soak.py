"""Runs the system under load with random faults, and tests that nothing grows: `make soak MINUTES=30`.

The exit status is 0 when all is flat and every promise was kept, 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pygal

from event_trio.observability import logging
from tests.faults.catalogue import modules as catalogue
from tests.faults.registry import FAULTS, FaultSkipped
from tests.faults.run import execute
from tests.faults.samples import Sampler, Series
from tests.faults.system import servers, system

FOLDER = Path(".run/soak")
SAMPLE_SECONDS = 2.0
# Without those that restart processes, after which a leak begins at zero.
CHOSEN = (3, 8, 9, 10, 11, 13, 14, 15, 16, 19, 20, 21, 22, 25, 32, 39, 45)


def main() -> int:
    """Run for the given time."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the faults (default 1)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where histories are kept (default {FOLDER})")
    parser.add_argument("--plot", type=Path, help="write the plots to this folder")
    given = parser.parse_args()
    logging.configure("soak", level="error")
    catalogue.load()
    folder = given.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    sampler, broken = asyncio.run(soak(given.minutes * 60.0, given.seed, folder))
    print(table(sampler.series))
    plot(sampler.series, given.plot or folder)
    for series in sampler.growing():
        print(f"{series.name} grew by {series.growth:.1f} around {series.median:.1f}")
    return 1 if broken or sampler.growing() else 0


async def soak(seconds: float, seed: int, folder: Path) -> tuple[Sampler, int]:
    """Inject faults until the time is over; returns the samples and the number of broken promises."""
    dice, broken, number = random.Random(seed), 0, 0
    async with servers(folder / "servers") as made, system(made, folder / "system") as running:
        sampler, began = Sampler(running), time.monotonic()
        sampling = asyncio.create_task(_sample(sampler))
        try:
            while (passed := time.monotonic() - began) < seconds:
                number += 1
                fault = FAULTS[dice.choice(CHOSEN)]
                say(f"[{passed / 60:5.1f} of {seconds / 60:.0f} min] fault {fault.number}: {fault.what}")
                try:
                    result = await execute(running, [fault], seed, number, folder / f"run-{number:04}")
                except FaultSkipped:
                    continue
                broken += len(result.violations)
                for violation in result.violations[:5]:
                    say(f"    BROKEN: {violation}")
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
    return sampler, broken


async def _sample(sampler: Sampler) -> None:
    while True:
        await sampler.sample()
        await asyncio.sleep(SAMPLE_SECONDS)


def table(series: Mapping[str, Series]) -> str:
    """What was sampled, as Markdown."""
    lines = ["| Metric | Samples | Median | Growth | Flat |", "| --- | --- | --- | --- | --- |"]
    for each in sorted(series.values(), key=lambda each: (each.kind, each.name)):
        flat = "yes" if each.is_flat else "**no**"
        lines.append(f"| {each.name} | {len(each.points)} | {each.median:.1f} | {each.growth:+.1f} | {flat} |")
    return "\n".join(lines)


def plot(series: Mapping[str, Series], folder: Path) -> None:
    """A plot for each kind of metric."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in sorted({each.kind for each in series.values()}):
        chart = pygal.XY(show_dots=False, x_title="minutes", title=kind, js=[], width=900, height=420, range=None)
        for each in series.values():
            if each.kind == kind:
                chart.add(each.name, [(at / 60, value) for at, value in each.points])
        (folder / f"soak-{kind.replace(' ', '-')}.svg").write_bytes(chart.render())


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
