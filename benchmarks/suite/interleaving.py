"""Runs candidates in turns (A B B A, or A B C C B A) and compares neighbouring runs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import typer

from benchmarks.ratios import Ratio, compare

Measures = Mapping[str, float]
"""What one run gave, by name: rates, processor time, counts per event."""
Run = Callable[[], Awaitable[Measures]]


@dataclass
class Series:
    """The runs of each candidate, in rounds: every round has one run of each."""

    rounds: list[dict[str, Measures]] = field(default_factory=list)
    nulls: list[tuple[str, Measures, Measures]] = field(default_factory=list)
    """Two neighbouring runs of the same candidate: their ratio is the noise."""

    def values(self, candidate: str, measure: str) -> list[float]:
        """A measure of every run of a candidate that has it."""
        return [found[candidate][measure] for found in self.rounds if measure in found[candidate]]

    def ratio(self, one: tuple[str, str], other: tuple[str, str]) -> Ratio:
        """The median over all rounds of one candidate's measure divided by the other's."""
        return compare([found[one[0]][one[1]] / found[other[0]][other[1]] for found in self.rounds])

    def null(self, candidate: str, measure: str) -> Ratio | None:
        """The same for neighbouring runs of the candidate itself, in turns; None without any."""
        pairs = [(first[measure], second[measure]) for name, first, second in self.nulls if name == candidate]
        ratios = [a / b if index % 2 == 0 else b / a for index, (a, b) in enumerate(pairs)]
        return compare(ratios) if ratios else None


async def interleaved(
    title: str, candidates: Mapping[str, Run], *, rounds: int, most_seconds: float, show: str
) -> Series:
    """Run every candidate once a round, in turns, and begin no round after `most_seconds`.

    `show` is the measure that the progress lines give.
    """
    series, began = Series(), time.monotonic()
    last: tuple[str, Measures] | None = None
    for number in range(rounds):
        if number and time.monotonic() - began > most_seconds:
            typer.echo(f"{title}: stopped after {number} of {rounds} rounds, for lack of time")
            break
        order = list(candidates) if number % 2 == 0 else list(candidates)[::-1]
        found: dict[str, Measures] = {}
        for name in order:
            found[name] = await candidates[name]()
            typer.echo(f"{title}: round {number + 1}/{rounds}, {name}: {found[name][show]:.4g} ({show})")
            if last is not None and last[0] == name:
                series.nulls.append((name, last[1], found[name]))
            last = name, found[name]
        series.rounds.append(found)
    return series
