"""Writes the page with the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ratios import Ratio
from benchmarks.suite.goals import GOALS
from benchmarks.suite.plots import histogram_plot, ratio_plot, share_plot
from benchmarks.suite.results import LatencyFound, NumberFound, RatioFound, Section
from benchmarks.suite.stored import StoredPart

PAGE = "results.md"
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
PLOTS = ("ratios-", "latencies-", "histogram-")


def write(folder: Path, parts: Sequence[StoredPart]) -> list[Path]:
    """Write the page and its plots; returns what was written. Plots of an earlier page are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for former in (path for begin in PLOTS for path in folder.glob(f"{begin}*.svg")):
        former.unlink()
    plots: dict[str, str] = {}
    for stored in parts:
        if stored.section.ratios:
            plots[f"ratios-{stored.part}.svg"] = ratio_plot(stored.section.ratios)
        for name, found in _plotted(stored.section).items():
            plots[f"latencies-{name}.svg"] = share_plot(found)
            plots[f"histogram-{name}.svg"] = histogram_plot(found)
    for name, text in plots.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(_page(parts), encoding="utf-8")
    return [folder / name for name in (PAGE, *plots)]


def summary(section: Section) -> list[str]:
    """The conditions and the main numbers of a part, for a terminal."""
    lines = [f"{section.title}:", *(f"  {line}" for line in (*section.conditions, *section.notes))]
    lines += [f"  PROBLEM: {problem}" for problem in section.problems]
    lines += [f"  {each.name}: {each.ratio}; null {each.null or 'not measured'}" for each in section.ratios]
    lines += [f"  {each.name}: {_short(each.median)} {each.unit}" for each in section.numbers if each.values]
    for each in section.latencies:
        if each.samples:
            shares = ", ".join(f"{name} {each.quantile(share):.1f}" for name, share in QUANTILES)
            lines.append(f"  {each.name}: {shares} ms")
    numbers = section.measured()
    return lines + [f"  goal: {GOALS[key].what} {GOALS[key]}: {_verdict(key, numbers)}" for key in numbers]


def _page(parts: Sequence[StoredPart]) -> str:
    lines = [
        "# Benchmark results",
        "",
        "`make bench` writes this page from the files in `parts/`. Do not edit it. [How it is measured](README.md).",
        "",
        *_goals(parts),
        *_conditions(parts),
    ]
    for stored in parts:
        lines += _section(stored)
    return "\n".join(lines).rstrip() + "\n"


def _goals(parts: Sequence[StoredPart]) -> list[str]:
    numbers = {key: number for stored in parts for key, number in stored.section.measured().items()}
    rows = [
        f"| {goal.what} | {goal.before} | {goal} | {_short(numbers[key]) if key in numbers else '–'} | "
        f"{_verdict(key, numbers)} | {goal.part} |"
        for key, goal in GOALS.items()
    ]
    met = sum(goal.met(numbers[key]) for key, goal in GOALS.items() if key in numbers)
    return [
        "## Goals",
        "",
        f"{met} of {len(GOALS)} goals are met, {len(numbers) - met} are missed, {len(GOALS) - len(numbers)} were not "
        "measured. `Before` was measured by hand on the revision for which the goals were set.",
        "",
        "| What | Before | Goal | Measured | | Part |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _conditions(parts: Sequence[StoredPart]) -> list[str]:
    lines = ["## Conditions", ""]
    for conditions in dict.fromkeys(stored.conditions for stored in parts):
        names = ", ".join(f"`{stored.part}`" for stored in parts if stored.conditions == conditions)
        lines.append(f"- {names}: `{conditions.command}` on revision {conditions.revision}.")
        lines += [f"  {line}" for line in conditions.lines]
    return [*lines, ""]


def _section(stored: StoredPart) -> list[str]:
    section = stored.section
    lines = [f"## {section.title}", "", *(f"- {line}" for line in (*section.conditions, *section.notes)), ""]
    if section.problems:
        lines += ["**Not a measurement**: events were lost, repeated or out of order.", ""]
        lines += [*(f"- {problem}" for problem in section.problems), ""]
    if section.ratios:
        lines += ["| Ratio | Median | 95 % interval | Null | Pairs | Goal | Met |", "|---|---|---|---|---|---|---|"]
        lines += [*(_ratio_row(found) for found in section.ratios), ""]
        lines += [f"![Ratios with their intervals, and the null in grey](ratios-{stored.part}.svg)", ""]
    if section.numbers:
        lines += ["| Number | Unit | Median | Least | Most | Goal | Met |", "|---|---|---|---|---|---|---|"]
        lines += [*(_number_row(found) for found in section.numbers if found.values), ""]
    if section.latencies:
        lines += ["| Latency, ms | n | p50 | p90 | p99 | p99.9 | Most | Goal p50, p99 | Met |", "|---" * 9 + "|"]
        lines += [*(_latency_row(found) for found in section.latencies if found.samples), ""]
    for name in _plotted(section):
        lines += [f"![The share of events that were done within a time](latencies-{name}.svg)", ""]
        lines += [f"![The share of events in each bin of time](histogram-{name}.svg)", ""]
    return lines


def _plotted(section: Section) -> dict[str, list[LatencyFound]]:
    """The latencies of each plot, by its name."""
    plots: dict[str, list[LatencyFound]] = {}
    for found in section.latencies:
        if found.plot and found.samples:
            plots.setdefault(found.plot, []).append(found)
    return plots


def _ratio_row(found: RatioFound) -> str:
    null = _interval(found.null) if found.null else "–"
    ratio = found.ratio
    interval = f"{ratio.low:.3g} to {ratio.high:.3g}"
    judged = _judged(found.goal, ratio.median)
    return f"| {found.name} | {ratio.median:.3g} | {interval} | {null} | {ratio.pairs} | {judged} |"


def _number_row(found: NumberFound) -> str:
    spread = f"{_short(min(found.values))} | {_short(max(found.values))}"
    judged = _judged(found.goal, found.median)
    return f"| {found.name} | {found.unit} | {_short(found.median)} | {spread} | {judged} |"


def _latency_row(found: LatencyFound) -> str:
    quantiles = " | ".join(f"{found.quantile(share):.1f}" for _, share in QUANTILES)
    keys = [(key, share) for key, share in ((found.goal, 0.5), (found.goal_p99, 0.99)) if key]
    goals = ", ".join(str(GOALS[key]) for key, _ in keys) or "–"
    met = ", ".join("yes" if GOALS[key].met(found.quantile(share)) else "no" for key, share in keys) or "–"
    return f"| {found.name} | {len(found.samples)} | {quantiles} | {goals} | {met} |"


def _judged(key: str, value: float) -> str:
    return f"{GOALS[key]} | {'yes' if GOALS[key].met(value) else 'no'}" if key else "– | –"


def _verdict(key: str, numbers: Mapping[str, float]) -> str:
    if key not in numbers:
        return "not measured"
    return "met" if GOALS[key].met(numbers[key]) else "**missed**"


def _interval(ratio: Ratio) -> str:
    return f"{ratio.median:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
