"""The table of a run of the suite."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.faults.registry import FAULTS
from tests.faults.run import Result


def table(results: Sequence[Result], skipped: Mapping[int, str]) -> str:
    """A Markdown table: fault, promises, runs, violations, and the time to recover."""
    rows: dict[tuple[int, ...], list[Result]] = defaultdict(list)
    for result in results:
        rows[result.numbers].append(result)
    lines = [
        "| Fault | What | Promises | Runs | Violations | Recovery p50 (s) | Worst (s) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for numbers, found in sorted(rows.items()):
        what = " **and** ".join(FAULTS[number].what for number in numbers)
        promises = " ".join(dict.fromkeys(p for number in numbers for p in FAULTS[number].promises.split()))
        times = [result.recovery_seconds for result in found if result.recovery_seconds is not None]
        median = f"{statistics.median(times):.1f}" if times else "-"
        worst = f"{max(times):.1f}" if times else "-"
        broken = sum(len(result.violations) for result in found)
        name = " + ".join(map(str, numbers))
        lines.append(f"| {name} | {what} | {promises} | {len(found)} | {broken} | {median} | {worst} |")
    lines += [f"| {number} | {FAULTS[number].what} | | 0 | skipped: {why} | - | - |" for number, why in skipped.items()]
    total = sum(len(result.violations) for result in results)
    lines += ["", f"{len(results)} runs, {total} violations, {len(skipped)} faults skipped."]
    return "\n".join(lines) + "\n"
