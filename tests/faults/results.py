"""The results of runs, kept in a file so that a suite can be continued."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from tools import json_lines

FILE = "results.jsonl"
Round: TypeAlias = tuple[tuple[int, ...], int]
"""The numbers of the faults, and the seed."""


@dataclass(frozen=True)
class Result:
    """What the checker found in a run."""

    numbers: tuple[int, ...]
    seed: int
    summary: str
    violations: list[str]
    recovery_seconds: float | None
    skipped: str = ""
    """Why the fault could not be injected here."""
    revision: str = ""
    """The last revision that changed the code under test."""

    @property
    def round(self) -> Round:
        """What was run."""
        return self.numbers, self.seed


def append(folder: Path, result: Result) -> None:
    """Add a result to the file of the folder."""
    json_lines.append(folder / FILE, asdict(result))


def load(folder: Path) -> list[Result]:
    """All results of the folder, repeated ones too. Raises UnreadableFile."""
    return [Result(**{**line, "numbers": tuple(line["numbers"])}) for line in json_lines.read(folder / FILE)]


def latest(results: Iterable[Result]) -> list[Result]:
    """The last result of each round."""
    return list({result.round: result for result in results}.values())
