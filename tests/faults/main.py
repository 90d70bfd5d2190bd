"""Injects the faults of the catalogue into the running system: `make faults`.

The exit status is 0 when every promise was kept, 1 when one was broken, 2 when the suite itself failed, and 3 when
--minutes ended before every run had a result.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx

from event_trio.observability import logging
from tests.faults.catalogue import modules as catalogue
from tests.faults.folder import FolderNotUsable, suite_folder
from tests.faults.page import PAGE, revision
from tests.faults.registry import FAULTS, Fault, FaultSkipped
from tests.faults.report import publish, table
from tests.faults.results import Result, Round, append, latest, load
from tests.faults.rows import forget_published
from tests.faults.run import execute
from tests.faults.system import System, servers, system
from tools.json_lines import UnreadableFile

FOLDER = Path(".run/faults")
REPLAYS = Path(".run/faults-replayed")


def main() -> int:
    """Run what the arguments choose."""
    given = arguments()
    catalogue.load()
    if given.list:
        for fault in sorted(FAULTS.values(), key=lambda each: each.number):
            print(f"{fault.number:3}  {fault.promises:12} {fault.what}")
        return 0
    if unknown := [number for numbers in given.fault for number in numbers if number not in FAULTS]:
        print(f"no fault has the number {unknown[0]}: --list shows all", file=sys.stderr)
        return 2
    folder: Path = given.folder.resolve()
    try:
        with suite_folder(folder, keep=given.resume):
            return run_chosen(given, folder)
    except (FolderNotUsable, UnreadableFile) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_chosen(given: argparse.Namespace, folder: Path) -> int:
    """Run what the arguments choose, show the table of the folder, and return the exit status."""
    logging.configure("faults", level="error")
    rounds = chosen(given)
    until = time.monotonic() + given.minutes * 60.0
    asyncio.run(run_all(rounds, folder, until))
    found = load(folder)
    text = table(found)
    print(text)
    if given.publish and found:
        publish(found)
    done = {result.round for result in found}
    if left := sum(round_of(faults, seed) not in done for seed, faults in rounds):
        print(f"{left} of {len(rounds)} runs are left: the same command with --resume continues", file=sys.stderr)
        return 3
    return 1 if any(result.violations for result in latest(found)) else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--fault",
        type=_numbers,
        action="append",
        default=[],
        help="a number, or several at the same time, such as 1+19; may be repeated; default all, one by one",
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=_at_least_one, default=1, help="how many seeds (default 1)")
    parser.add_argument("--pairs", type=_at_least_one, help="run so many pairs of faults, chosen by the seed")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where histories are kept (default {FOLDER})")
    parser.add_argument("--minutes", type=float, default=10_000.0, help="begin no run after so many minutes")
    parser.add_argument(
        "--resume", action="store_true", help="keep the results of the folder; run what is missing, or was broken"
    )
    parser.add_argument("--publish", action="store_true", help=f"write the table of what was run into {PAGE}")
    parser.add_argument("--list", action="store_true", help="list the catalogue")
    given = parser.parse_args()
    if given.pairs and given.fault:
        parser.error("--pairs chooses the faults: use it without --fault")
    return given


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split("+"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, such as 26, or several, such as 1+19") from None


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def chosen(given: argparse.Namespace) -> list[tuple[int, list[Fault]]]:
    """The seed and the faults of each run."""
    rounds = []
    for seed in range(given.seed, given.seed + given.seeds):
        if given.pairs:
            rounds += [(seed, pair) for pair in pairs(seed, given.pairs)]
            continue
        for numbers in given.fault or [(number,) for number in sorted(FAULTS)]:
            rounds.append((seed, [FAULTS[number] for number in numbers]))
    return rounds


def pairs(seed: int, count: int) -> list[list[Fault]]:
    """Pairs of faults that take hold of different things."""
    dice = random.Random(seed)
    faults = [fault for fault in FAULTS.values() if "alone" not in fault.uses]
    possible = [
        [one, other] for one in faults for other in faults if one.number < other.number and not one.uses & other.uses
    ]
    return dice.sample(possible, min(count, len(possible)))


def round_of(faults: Sequence[Fault], seed: int) -> Round:
    """What identifies a run."""
    return tuple(fault.number for fault in faults), seed


async def run_all(rounds: Sequence[tuple[int, list[Fault]]], folder: Path, until: float) -> None:
    """Run what has no result yet, with progress on stderr. A system that broke a promise is replaced."""
    kept = {result.round for result in latest(load(folder)) if not result.violations}
    remaining = [each for each in enumerate(rounds, start=1) if round_of(each[1][1], each[1][0]) not in kept]
    if not remaining:
        return
    shutil.rmtree(folder / "servers", ignore_errors=True)
    async with servers(folder / "servers") as made:
        while remaining and time.monotonic() < until:
            place = folder / f"system-{remaining[0][0]}"
            shutil.rmtree(place, ignore_errors=True)
            async with system(made, place) as running:
                while remaining and time.monotonic() < until:
                    number, (seed, faults) = remaining.pop(0)
                    say(f"[{number}/{len(rounds)}] fault {_names(faults)}, seed {seed}: {_what(faults)}")
                    result = await run_one(running, number, seed, faults, folder)
                    append(folder, result)
                    if result.violations:
                        break


async def run_one(running: System, number: int, seed: int, faults: list[Fault], folder: Path) -> Result:
    """Run one round, and show its result."""
    place = folder / f"run-{number:03}-fault-{_names(faults)}-seed-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        await forget_published(running)
        result = await execute(running, faults, seed, number, place)
    except FaultSkipped as error:
        say(f"    skipped: {error}")
        return Result(*round_of(faults, seed), "", [], None, skipped=str(error))
    except (AssertionError, TimeoutError, OSError, httpx.HTTPError, asyncpg.PostgresError) as error:
        result = Result(*round_of(faults, seed), "", [f"the run failed: {error!r}"], None)
    result = replace(result, revision=revision())
    if result.violations:
        say(f"    BROKEN, replay with: {replay_command(faults, seed)}   histories: {place}")
        for violation in result.violations[:5]:
            say(f"    {violation}")
    else:
        say(f"    kept; recovered in {result.recovery_seconds or 0:.1f} s; {result.summary}")
    return result


def replay_command(faults: Sequence[Fault], seed: int) -> str:
    """The command that repeats a run, in another folder, so that the histories of the first one stay."""
    return f'make faults FAULT={_names(faults)} SEED={seed} ARGS="--folder {REPLAYS}"'


def _names(faults: Sequence[Fault]) -> str:
    return "+".join(str(fault.number) for fault in faults)


def _what(faults: Sequence[Fault]) -> str:
    return " and ".join(fault.what for fault in faults)


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
