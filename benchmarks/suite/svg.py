"""Plots as plain SVG: ratios with intervals, and cumulative latencies on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from benchmarks.suite.results import LatencyFound, RatioFound

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 900, 330, 30, 44, 24, 44
COLOURS = ("#0b6e99", "#b4530a", "#3f7d20", "#7a3e9d", "#a3123f", "#555555", "#0f7b6c", "#8a6d00")
FONT = 'font-family="system-ui, sans-serif" font-size="13" fill="#333"'
STEPS = (1, 2, 5)


def ratio_plot(found: Sequence[RatioFound]) -> str:
    """A row for each ratio: median and interval, and below it the noise in grey."""
    ends = [end for each in found for ratio in (each.ratio, each.null) if ratio for end in (ratio.low, ratio.high)]
    low, high = min(0.8, *ends) * 0.9, max(1.25, *ends) * 1.1
    place = _logarithmic(low, high)
    height = TOP + ROW * len(found) + BOTTOM
    parts = _axis(low, high, place, height, "ratio (logarithmic)")
    parts.append(_line(place(1.0), TOP, place(1.0), height - BOTTOM, "#999", 1.5))
    for index, each in enumerate(found):
        y = TOP + ROW * index + ROW / 2
        parts.append(f'<text x="{LEFT - 12}" y="{y + 1:.1f}" text-anchor="end" {FONT}>{escape(each.name)}</text>')
        if each.null:
            parts += _interval(each.null.low, each.null.median, each.null.high, y + 9, "#aaa", place)
        parts += _interval(each.ratio.low, each.ratio.median, each.ratio.high, y - 3, COLOURS[0], place)
        parts.append(f'<text x="{place(each.ratio.median):.1f}" y="{y - 10:.1f}" text-anchor="middle" {FONT}>')
        parts.append(f"{each.ratio.median:.3g}</text>")
    return _document(height, parts)


def latency_plot(found: Sequence[LatencyFound]) -> str:
    """For each latency the share of samples (up) that were done within a time (across)."""
    legend = 20 * len(found)
    plot, height = 300, TOP + 300 + BOTTOM + legend + 10
    positive = [max(sample, 0.01) for each in found for sample in each.samples]
    low, high = min(positive) * 0.8, max(positive) * 1.2
    place = _logarithmic(low, high, left=60)
    parts = _axis(low, high, place, TOP + plot + BOTTOM, "milliseconds (logarithmic)")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + plot * (1 - share)
        parts.append(_line(60, y, WIDTH - RIGHT, y, "#eee", 1))
        parts.append(f'<text x="52" y="{y + 4:.1f}" text-anchor="end" {FONT}>{share:.0%}</text>')
    for index, each in enumerate(found):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(
            f"{place(max(sample, 0.01)):.1f},{TOP + plot * (1 - share):.1f}" for sample, share in _cumulative(each)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + plot + BOTTOM + 20 * index + 14
        parts.append(_line(60, y - 4, 90, y - 4, colour, 3))
        parts.append(f'<text x="98" y="{y}" {FONT}>{escape(each.name)}</text>')
    return _document(height, parts)


def _cumulative(found: LatencyFound, most: int = 400) -> list[tuple[float, float]]:
    ordered = sorted(found.samples)
    step = max(1, len(ordered) // most)
    chosen = [*range(0, len(ordered), step), len(ordered) - 1]
    return [(ordered[index], (index + 1) / len(ordered)) for index in chosen]


def _logarithmic(low: float, high: float, *, left: float = LEFT) -> Callable[[float], float]:
    span = math.log(high / low)
    return lambda value: left + (WIDTH - RIGHT - left) * math.log(value / low) / span


def _axis(low: float, high: float, place: Callable[[float], float], height: float, title: str) -> list[str]:
    bottom = height - BOTTOM
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [step * 10.0**power for power in powers for step in STEPS]
    parts = []
    for mark in (mark for mark in marks if low <= mark <= high):
        parts.append(_line(place(mark), TOP, place(mark), bottom, "#eee", 1))
        parts.append(f'<text x="{place(mark):.1f}" y="{bottom + 16}" text-anchor="middle" {FONT}>{mark:g}</text>')
    middle = (place(low) + place(high)) / 2
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 34}" text-anchor="middle" {FONT}>{title}</text>')
    return parts


def _interval(
    low: float, middle: float, high: float, y: float, colour: str, place: Callable[[float], float]
) -> list[str]:
    return [
        _line(place(low), y, place(high), y, colour, 3),
        f'<circle cx="{place(middle):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>',
    ]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def _document(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:g}" fill="#fff"/>', *parts, "</svg>"]) + "\n"
