"""What a part of the comparisons consists of: tables, their lines, and what the run of a line found."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.suite.results import LatencyFound, NumberFound
from comparisons.environment import ComparisonEnvironment

KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOST_SECONDS = 120.0


class NotAvailable(Exception):
    """What a line needs is not installed on this machine. The message names it, and how to install it."""


@dataclass(frozen=True)
class Cell:
    """What a line found about one column of its table."""

    text: str
    unexpected: str = ""
    """What should have been found instead. Such a cell fails the command, and is marked on the page."""
    skipped: bool = False
    """Whether the column could not be run; `text` is the reason."""


@dataclass(frozen=True)
class LineResult:
    """What the run of a line found. `cells` has an entry for each column of the table.

    `numbers` are drawn as one plot, with the columns as their names and one unit; `latencies` as another. `versions`
    are those of the servers and libraries that took part.
    """

    cells: Mapping[str, Cell]
    numbers: Sequence[NumberFound] = ()
    latencies: Sequence[LatencyFound] = ()
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A line of a table, which can be run alone.

    `question` is the text of the first column. `tests` are names such as "integration/test_x.py::test_y": they show
    the same as the line. `run` may raise NotAvailable; it is cancelled after `most_seconds`.
    """

    key: str
    question: str
    tests: Sequence[str]
    run: Callable[[ComparisonEnvironment], Awaitable[LineResult]]
    most_seconds: float = MOST_SECONDS


@dataclass(frozen=True)
class ComparisonTable:
    """A table of the part's page, between the marks with its key."""

    key: str
    title: str
    """The title of the first column."""
    columns: Sequence[str]
    lines: Sequence[Line]


@dataclass(frozen=True)
class ComparisonPart:
    """A part: `make compare PARTS=name` runs it, and writes the tables of docs/comparisons/<name>.md.

    `minutes` is what it takes about. Raises ValueError when keys are malformed or repeated.
    """

    name: str
    minutes: float
    tables: Sequence[ComparisonTable]

    def __post_init__(self) -> None:
        keys = [table.key for table in self.tables] + [line.key for line in self.lines()]
        if wrong := [key for key in (self.name, *keys) if not KEY.fullmatch(key)]:
            raise ValueError(f"not in lower case with hyphens: {wrong}")
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"used more than once in {self.name}: {repeated}")

    def lines(self) -> list[Line]:
        """The lines of all tables, in their order."""
        return [line for table in self.tables for line in table.lines]
