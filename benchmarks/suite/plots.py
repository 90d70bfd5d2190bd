"""Plots as SVG: ratios with their intervals, and latencies as shares and as histograms, on logarithmic axes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import pygal
from pygal.style import Style

from benchmarks.suite.results import LatencyFound, NumberFound, RatioFound

# pygal finds its plug-ins by an import hook of a kind that Python 3.11 warns about at every import, and 3.12 ignores.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]

WIDTH, ROW, MARGIN, HEIGHT, LEGEND_ROW = 900, 46, 110, 420, 26
COLOURS = ("#0b6e99", "#b4530a", "#3f7d20", "#7a3e9d", "#a3123f", "#555555", "#0f7b6c", "#8a6d00")
GREY = "#aaaaaa"
STEPS = (1, 2, 5)
SMALLEST_MS = 0.1
BINS_A_DECADE = 12
POINTS = 300


def ratio_plot(found: Sequence[RatioFound]) -> str:
    """A row for each ratio: median and interval, and below it the noise in grey."""
    colours = [colour for each in found for colour in ((COLOURS[0], GREY) if each.null else (COLOURS[0],))]
    chart = _chart(MARGIN + ROW * len(found), "ratio (logarithmic), with the null in grey", colours)
    ends = [1.0]
    for index, each in enumerate(found):
        for ratio, offset in ((each.ratio, 0.0), (each.null, 0.35)):
            if ratio is not None:
                y = len(found) - index - offset
                ends += [ratio.low, ratio.high]
                points = [(math.log10(value), y) for value in (ratio.low, ratio.median, ratio.high)]
                chart.add(each.name, points, stroke_style={"width": 3})
    chart.x_labels = _marks(min(ends) * 0.9, max(ends) * 1.1)
    chart.y_labels = [
        {"value": len(found) - index, "label": f"{each.name}  {each.ratio.median:.3g}"}
        for index, each in enumerate(found)
    ]
    return _text(chart)


def number_plot(found: Sequence[NumberFound], unit: str) -> str:
    """A row for each number: its median, and the range of its runs. Numbers that are not positive have a label only."""
    chart = _chart(MARGIN + ROW * len(found), f"{unit} (logarithmic)", [COLOURS[0]] * len(found))
    ends = [value for each in found for value in each.values if value > 0] or [1.0]
    for index, each in enumerate(found):
        values = [value for value in (min(each.values), each.median, max(each.values)) if value > 0]
        points = [(math.log10(value), len(found) - index) for value in values]
        chart.add(each.name, points, stroke_style={"width": 3})
    chart.x_labels = _marks(min(ends) * 0.9, max(ends) * 1.1)
    chart.y_labels = [
        {"value": len(found) - index, "label": f"{each.name}  {each.median:.3g}"} for index, each in enumerate(found)
    ]
    return _text(chart)


def share_plot(found: Sequence[LatencyFound]) -> str:
    """For each latency the share of samples, in per cent, that were done within a time."""
    return _latencies(found, [_cumulative(each) for each in found], "% done within the time")


def histogram_plot(found: Sequence[LatencyFound]) -> str:
    """For each latency the share of samples, in per cent, in each of the bins; twelve bins are a power of ten."""
    return _latencies(found, [_histogram(each) for each in found], "% of the samples")


def _latencies(found: Sequence[LatencyFound], lines: Sequence[list[tuple[float, float]]], title: str) -> str:
    rows = math.ceil(len(found) / 2)
    chart = _chart(
        HEIGHT + 2 * LEGEND_ROW * rows,
        "milliseconds (logarithmic)",
        COLOURS,
        y_title=title,
        legend_rows=rows,
        dots=False,
    )
    for each, points in zip(found, lines, strict=True):
        chart.add(each.name, points, stroke_style={"width": 2})
    samples = [max(sample, SMALLEST_MS) for each in found for sample in each.samples]
    chart.x_labels = _marks(min(samples), max(samples))
    return _text(chart)


def _cumulative(found: LatencyFound) -> list[tuple[float, float]]:
    ordered = sorted(found.samples)
    chosen = [*range(0, len(ordered), max(1, len(ordered) // POINTS)), len(ordered) - 1]
    return [(_log(ordered[index]), round(100 * (index + 1) / len(ordered), 2)) for index in chosen]


def _histogram(found: LatencyFound) -> list[tuple[float, float]]:
    """The outline of the bars."""
    bins = [math.floor(_log(sample) * BINS_A_DECADE) for sample in found.samples]
    points = [(min(bins) / BINS_A_DECADE, 0.0)]
    for number in range(min(bins), max(bins) + 1):
        share = round(100 * bins.count(number) / len(bins), 2)
        points += [(number / BINS_A_DECADE, share), ((number + 1) / BINS_A_DECADE, share)]
    return [*points, ((max(bins) + 1) / BINS_A_DECADE, 0.0)]


def _log(value: float) -> float:
    return round(math.log10(max(value, SMALLEST_MS)), 3)


def _marks(low: float, high: float) -> list[dict[str, Any]]:
    """Labels 1, 2, 5, 10, ... from the last one below `low` to the first one above `high`."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    values = [step * 10.0**power for power in powers for step in STEPS]
    begin = max(value for value in values if value <= low)
    end = min(value for value in values if value >= high)
    return [{"value": math.log10(value), "label": f"{value:,g}"} for value in values if begin <= value <= end]


def _chart(
    height: int, x_title: str, colours: Sequence[str], *, y_title: str = "", legend_rows: int = 0, dots: bool = True
) -> Any:
    # Without the script of pygal, which comes from a public address and does nothing in an image.
    config = pygal.Config(js=(), no_prefix=True, width=WIDTH, height=height, x_title=x_title, y_title=y_title)
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#333333",
        foreground_strong="#111111",
        foreground_subtle="#777777",
        font_family="system-ui, sans-serif",
        label_font_size=13,
        major_label_font_size=13,
        title_font_size=13,
        legend_font_size=13,
        guide_stroke_color="#dddddd",
        guide_stroke_dasharray="1,0",
        major_guide_stroke_color="#dddddd",
        major_guide_stroke_dasharray="1,0",
        colors=tuple(colours),
    )
    return pygal.XY(
        config,
        style=style,
        show_dots=dots,
        dots_size=4,
        show_x_guides=True,
        show_legend=legend_rows > 0,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        margin_bottom=legend_rows * LEGEND_ROW,  # without it the last row of the legend is cut off
        truncate_legend=-1,
        truncate_label=-1,
    )


def _text(chart: Any) -> str:
    text: str = chart.render(is_unicode=True)
    return text + "\n"
