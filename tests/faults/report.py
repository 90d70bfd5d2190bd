"""The table of a run of the suite."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.registry import FAULTS
from tests.faults.run import Result
from tools.embedded import installation, localstack

PAGE = Path("docs/explanation/reliability.md")
BEGIN, END = "<!-- fault run: begin -->", "<!-- fault run: end -->"


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


def publish(text: str, *, seeds: int, pairs: int) -> None:
    """Write the table into the page, with the versions and the machine that it was made on."""
    what = f"{pairs} pairs of faults" if pairs else "all faults"
    versions = f"Python {platform.python_version()}, Postgres {installation.find().version()}"
    made = (
        f"Made by `make faults` on {time.strftime('%Y-%m-%d')}: {what}, {seeds} seed{'s' if seeds > 1 else ''}; "
        f"{os.cpu_count()} cores, {versions}, LocalStack {localstack.version()}."
    )
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{text}\n{END}{after}")
