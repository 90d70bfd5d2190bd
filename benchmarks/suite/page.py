"""Writes the page with the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.ratios import Ratio
from benchmarks.suite.results import Goal, LatencyFound, NumberFound, RatioFound, Section
from benchmarks.suite.svg import latency_plot, ratio_plot

PAGE = "results.md"
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
RATIOS = "ratios.svg"


def write(folder: Path, sections: Sequence[Section], conditions: Sequence[str], command: str) -> list[Path]:
    """Write the page and its plots; returns what was written. Plots of an earlier run are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for former in (folder / RATIOS, *folder.glob("latencies-*.svg")):
        former.unlink(missing_ok=True)
    plots = {}
    if ratios := [found for section in sections for found in section.ratios]:
        plots[RATIOS] = ratio_plot(ratios)
    for section in sections:
        for name, found in _plotted(section).items():
            plots[name] = latency_plot(found)
    for name, text in plots.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(_page(sections, conditions, command), encoding="utf-8")
    return [folder / name for name in (PAGE, *plots)]


def summary(section: Section) -> list[str]:
    """The conditions and the main numbers of a part, for a terminal."""
    lines = [f"{section.title}:", *(f"  {condition}" for condition in section.conditions)]
    lines += [f"  PROBLEM: {problem}" for problem in section.problems]
    lines += [f"  {each.name}: {each.ratio}; null {each.null or 'not measured'}" for each in section.ratios]
    lines += [f"  {each.name}: {_short(median(each.values))} {each.unit}" for each in section.numbers if each.values]
    for each in section.latencies:
        if each.samples:
            shares = ", ".join(f"{name} {each.quantile(share):.1f}" for name, share in QUANTILES)
            lines.append(f"  {each.name}: {shares} ms")
    return lines


def _page(sections: Sequence[Section], conditions: Sequence[str], command: str) -> str:
    lines = [
        "# Benchmark results",
        "",
        f"Written by `{command}`. Do not edit. [How it is measured](README.md).",
        "",
        *(f"- {condition}" for condition in conditions),
        "",
    ]
    if any(section.ratios for section in sections):
        lines += [f"![Ratios with their intervals, and the null in grey]({RATIOS})", ""]
    for section in sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", "", *(f"- {condition}" for condition in section.conditions), ""]
    if section.problems:
        lines += ["**Not a measurement**: events were lost, repeated or out of order.", ""]
        lines += [*(f"- {problem}" for problem in section.problems), ""]
    if section.ratios:
        lines += ["| Ratio | Median | 95 % interval | Null | Rounds | Goal | Met |", "|---|---|---|---|---|---|---|"]
        lines += [*(_ratio_row(found) for found in section.ratios), ""]
    if section.numbers:
        lines += ["| Number | Unit | Median | Least | Most | Goal | Met |", "|---|---|---|---|---|---|---|"]
        lines += [*(_number_row(found) for found in section.numbers if found.values), ""]
    if section.latencies:
        lines += ["| Latency, ms | n | p50 | p90 | p99 | p99.9 | Most | Goal p50, p99 | Met |", "|---" * 9 + "|"]
        lines += [*(_latency_row(found) for found in section.latencies if found.samples), ""]
    for name in _plotted(section):
        lines += [f"![The share of events that were done within a time]({name})", ""]
    return lines


def _plotted(section: Section) -> dict[str, list[LatencyFound]]:
    """The latencies of each plot, by its file's name."""
    plots: dict[str, list[LatencyFound]] = {}
    for found in section.latencies:
        if found.plot and found.samples:
            plots.setdefault(f"latencies-{found.plot}.svg", []).append(found)
    return plots


def _ratio_row(found: RatioFound) -> str:
    null = _interval(found.null) if found.null else "–"
    ratio = found.ratio
    interval = f"{ratio.low:.3g} to {ratio.high:.3g}"
    judged = _judged(found.goal, ratio.median)
    return f"| {found.name} | {ratio.median:.3g} | {interval} | {null} | {ratio.pairs} | {judged} |"


def _number_row(found: NumberFound) -> str:
    middle = median(found.values)
    spread = f"{_short(min(found.values))} | {_short(max(found.values))}"
    return f"| {found.name} | {found.unit} | {_short(middle)} | {spread} | {_judged(found.goal, middle)} |"


def _latency_row(found: LatencyFound) -> str:
    quantiles = " | ".join(f"{found.quantile(share):.1f}" for _, share in QUANTILES)
    judged = [
        (goal, goal.met(found.quantile(share))) for goal, share in ((found.goal, 0.5), (found.goal_p99, 0.99)) if goal
    ]
    goals = ", ".join(str(goal) for goal, _ in judged) or "–"
    met = ", ".join("yes" if met else "no" for _, met in judged) or "–"
    return f"| {found.name} | {len(found.samples)} | {quantiles} | {goals} | {met} |"


def _judged(goal: Goal | None, value: float) -> str:
    return f"{goal} | {'yes' if goal.met(value) else 'no'}" if goal else "– | –"


def _interval(ratio: Ratio) -> str:
    return f"{ratio.median:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
