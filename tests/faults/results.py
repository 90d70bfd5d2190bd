"""The results of runs, kept in a file so that a suite can be continued."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

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
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def load(folder: Path) -> list[Result]:
    """All results of the folder, repeated ones too."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return [Result(**{**line, "numbers": tuple(line["numbers"])}) for line in found]


def latest(results: Iterable[Result]) -> list[Result]:
    """The last result of each round."""
    return list({result.round: result for result in results}.values())
