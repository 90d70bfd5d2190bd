"""Injects the faults of the catalogue into the running system: `make faults`.

The exit status is 0 when every promise was kept, 1 when one was broken, 2 when the suite itself failed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from event_trio.observability import logging
from tests.faults.catalogue import modules as catalogue
from tests.faults.registry import FAULTS, Fault, FaultSkipped
from tests.faults.report import PAGE, publish, table
from tests.faults.run import Result, execute
from tests.faults.system import System, servers, system

FOLDER = Path(".run/faults")


def main() -> int:
    """Run what the arguments choose."""
    given = arguments()
    catalogue.load()
    if given.list:
        for fault in sorted(FAULTS.values(), key=lambda each: each.number):
            print(f"{fault.number:3}  {fault.promises:12} {fault.what}")
        return 0
    if unknown := [number for number in given.fault if number not in FAULTS]:
        print(f"no fault has the number {unknown[0]}: --list shows all", file=sys.stderr)
        return 2
    rounds = chosen(given)
    folder: Path = given.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    logging.configure("faults", level="error")
    results, skipped = asyncio.run(run_all(rounds, folder))
    text = table(results, skipped)
    print(text)
    if given.publish:
        publish(text, seeds=given.seeds, pairs=given.pairs)
    return 1 if any(result.violations for result in results) else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fault", type=int, action="append", default=[], help="a number; may be repeated; default all")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (default 1)")
    parser.add_argument("--pairs", type=int, default=0, help="run so many pairs of faults, chosen by the seed")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where histories are kept (default {FOLDER})")
    parser.add_argument("--publish", action="store_true", help=f"write the table into {PAGE}")
    parser.add_argument("--list", action="store_true", help="list the catalogue")
    return parser.parse_args()


def chosen(given: argparse.Namespace) -> list[tuple[int, list[Fault]]]:
    """The seed and the faults of each run."""
    rounds = []
    for seed in range(given.seed, given.seed + given.seeds):
        if given.pairs:
            rounds += [(seed, pair) for pair in pairs(seed, given.pairs)]
            continue
        rounds += [(seed, [FAULTS[number]]) for number in given.fault or sorted(FAULTS)]
    return rounds


def pairs(seed: int, count: int) -> list[list[Fault]]:
    """Pairs of faults that take hold of different things."""
    dice = random.Random(seed)
    faults = [fault for fault in FAULTS.values() if "alone" not in fault.uses]
    possible = [
        [one, other] for one in faults for other in faults if one.number < other.number and not one.uses & other.uses
    ]
    return dice.sample(possible, min(count, len(possible)))


async def run_all(rounds: Sequence[tuple[int, list[Fault]]], folder: Path) -> tuple[list[Result], dict[int, str]]:
    """Run each, with progress on stderr. A system that broke a promise is replaced."""
    results: list[Result] = []
    skipped: dict[int, str] = {}
    began = time.monotonic()
    remaining = list(enumerate(rounds, start=1))
    async with servers(folder / "servers") as made:
        while remaining:
            async with system(made, folder / f"system-{remaining[0][0]}") as running:
                while remaining:
                    number, (seed, faults) = remaining.pop(0)
                    if not await run_one(running, number, len(rounds), seed, faults, folder, results, skipped, began):
                        break
    return results, skipped


async def run_one(
    running: System, number: int, count: int, seed: int, faults: list[Fault], folder: Path,
    results: list[Result], skipped: dict[int, str], began: float,
) -> bool:  # fmt: skip
    """Run one round; returns whether the system can be used again."""
    numbers = "+".join(str(fault.number) for fault in faults)
    what = " and ".join(fault.what for fault in faults)
    say(f"[{number}/{count}, {time.monotonic() - began:5.0f} s] fault {numbers}, seed {seed}: {what}")
    place = folder / f"run-{number:03}-fault-{numbers}-seed-{seed}"
    try:
        result = await execute(running, faults, seed, number, place)
    except FaultSkipped as error:
        skipped |= {fault.number: str(error) for fault in faults}
        say(f"    skipped: {error}")
        return True
    except (AssertionError, TimeoutError, OSError) as error:
        result = Result(tuple(f.number for f in faults), seed, "", [f"the run failed: {error!r}"], None, place)
    results.append(result)
    if result.violations:
        command = " ".join([*(f"FAULT={fault.number}" for fault in faults), f"SEED={seed}"])
        say(f"    BROKEN, replay with: make faults {command}   histories: {place}")
        for violation in result.violations[:5]:
            say(f"    {violation}")
        return False
    say(f"    kept; recovered in {result.recovery_seconds or 0:.1f} s; {result.summary}")
    return True


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
