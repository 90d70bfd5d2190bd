"""The table of a run of the suite."""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.faults import page
from tests.faults.registry import FAULTS
from tests.faults.results import Result, latest


def table(results: Sequence[Result]) -> str:
    """A Markdown table: fault, promises, runs, violations, and the time to recover."""
    rows: dict[tuple[int, ...], list[Result]] = defaultdict(list)
    last = latest(results)
    for result in last:
        rows[result.numbers].append(result)
    lines = [
        "| Fault | What | Promises | Runs | Violations | Recovery p50 (s) | Worst (s) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(numbers, found) for numbers, found in sorted(rows.items(), key=lambda row: (len(row[0]), row[0]))),
        "",
        _totals(results, last),
    ]
    return "\n".join(lines) + "\n"


def _row(numbers: tuple[int, ...], found: Sequence[Result]) -> str:
    what = " **and** ".join(FAULTS[number].what for number in numbers)
    promises = " ".join(sorted({promise for number in numbers for promise in FAULTS[number].promises.split()}))
    name = " + ".join(map(str, numbers))
    if reason := next((result.skipped for result in found if result.skipped), ""):
        return f"| {name} | {what} | {promises} | 0 | skipped: {reason} | - | - |"
    times = [result.recovery_seconds for result in found if result.recovery_seconds is not None]
    median = f"{statistics.median(times):.1f}" if times else "-"
    worst = f"{max(times):.1f}" if times else "-"
    broken = sum(len(result.violations) for result in found)
    return f"| {name} | {what} | {promises} | {len(found)} | {broken} | {median} | {worst} |"


def _totals(results: Sequence[Result], last: Sequence[Result]) -> str:
    runs = [result for result in last if not result.skipped]
    violations = sum(len(result.violations) for result in last)
    skipped = _count(len(last) - len(runs), "fault")
    text = f"{_count(len(runs), 'run')}, {_count(violations, 'violation')}, {skipped} skipped."
    if repeated := len(results) - len(last):
        text += f" {_count(repeated, 'run')} repeated after a violation."
    return text


def publish(results: Sequence[Result]) -> None:
    """Write the table into the page, with the versions and the machine that it was made on."""
    last = latest(results)
    singles = {result.numbers for result in last if len(result.numbers) == 1}
    runs = Counter(result.seed for result in last if len(result.numbers) == 1)
    seeds = sum(count == len(singles) for count in runs.values())
    pairs = sum(len(result.numbers) > 1 for result in last)
    what = f"{len(singles)} faults, {_count(seeds, 'seed')} each"
    if more := sum(count for count in runs.values() if count < len(singles)):
        what += f" and {_count(more, 'run')} with other seeds"
    what += f", {_count(pairs, 'pair')}" if pairs else ""
    code = ", ".join(sorted({result.revision for result in last if result.revision}))
    made = f"Made by `make faults` on {time.strftime('%Y-%m-%d')}: {what}; revision {code}; {page.machine()}."
    page.write("fault run", f"{made}\n\n{table(results)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
