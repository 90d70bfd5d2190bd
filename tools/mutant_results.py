"""The results of mutants, kept in a file so that a run can be continued, and their table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tools import json_lines
from tools.json_lines import UnreadableFile

MARKS = "<!-- mutants: begin -->", "<!-- mutants: end -->"


class Verdict(StrEnum):
    """The result of a mutant."""

    DETECTED = "detected"
    SURVIVED = "SURVIVED"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Result:
    """A verdict and its explanation."""

    mutant: str
    mistake: str
    verdict: Verdict
    seconds: float
    detail: str
    test: str = ""
    """The test that failed."""


def append(file: Path, result: Result) -> None:
    """Add a result to the file."""
    json_lines.append(file, asdict(result))


def load(file: Path) -> list[Result]:
    """The last result of each mutant in the file, in the order of their names. Raises UnreadableFile."""
    try:
        found = [Result(**{**line, "verdict": Verdict(line["verdict"])}) for line in json_lines.read(file)]
    except (KeyError, TypeError, ValueError):
        raise UnreadableFile(f"{file} has other content than results of mutants: choose another file") from None
    last = {result.mutant: result for result in found}
    return [last[name] for name in sorted(last)]


def markdown(results: Sequence[Result]) -> str:
    """A Markdown table: mutant, mistake, the test that detected it, and the time from its start to the failure."""
    lines = ["| Mutant | Mistake | Detected by | Seconds |", "| --- | --- | --- | --- |"]
    for result in results:
        test = f"`{result.test.partition('[')[0]}`" if result.verdict is Verdict.DETECTED else f"**{result.verdict}**"
        lines.append(f"| {result.mutant} | {result.mistake} | {test} | {result.seconds:.0f} |")
    return "\n".join([*lines, "", totals(results)]) + "\n"


def totals(results: Iterable[Result]) -> str:
    """How many were detected, and how fast."""
    results = list(results)
    times = [result.seconds for result in results if result.verdict is Verdict.DETECTED]
    text = f"{len(times)} of {len(results)} mutants were detected"
    if times:
        text += f", half of them within {statistics.median(times):.0f} s, all within {max(times):.0f} s"
    return f"{text}."


def write(page: Path, results: Sequence[Result]) -> None:
    """Replace what is between the marks of the page by the table. Raises ValueError for a page without marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise ValueError(f"{page} has no marks of mutants")
    page.write_text(f"{before}{begin}\n\n{markdown(results)}\n{end}{after}", encoding="utf-8")
