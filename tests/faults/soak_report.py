"""The table and the plots of a soak."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pygal

from tests.faults import page
from tests.faults.series import Series


def table(series: Mapping[str, Series]) -> str:
    """What was sampled, as Markdown."""
    lines = [
        "| Metric | Samples | Median | Growth | Growth an hour | Flat | Course, from zero |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in sorted(series.values(), key=lambda each: (each.kind, each.name)):
        flat = "yes" if each.is_flat else "**no**"
        growth = f"{each.growth:+.1f} | {each.growth_an_hour:+.1f}"
        lines.append(f"| {each.name} | {len(each.points)} | {each.median:.1f} | {growth} | {flat} | {each.plot()} |")
    return "\n".join(lines)


def plot(series: Mapping[str, Series], folder: Path) -> None:
    """A plot for each kind of metric, as SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in sorted({each.kind for each in series.values()}):
        chart = pygal.XY(show_dots=False, x_title="minutes", title=kind, js=[], width=900, height=420, range=None)
        for each in series.values():
            if each.kind == kind:
                chart.add(each.name, [(at / 60, value) for at, value in each.points])
        (folder / f"soak-{kind.replace(' ', '-')}.svg").write_bytes(chart.render())


def publish(series: Mapping[str, Series], *, minutes: float, seed: int, runs: int, broken: int) -> None:
    """Write the table into the page."""
    made = (
        f"Made by `make soak MINUTES={minutes:g}` on {time.strftime('%Y-%m-%d')}: {runs} faults one after another, "
        f"seed {seed}, {broken} violations; {page.machine()}."
    )
    page.write("soak", f"{made}\n\n{table(series)}")
