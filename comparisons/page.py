"""Writes the tables and the conditions of a part into its page, between marks, and the plots beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.suite.plots import number_plot, share_plot
from benchmarks.suite.results import NumberFound
from comparisons.contract import Cell, ComparisonPart, ComparisonTable, Line
from comparisons.stored import LineConditions, StoredLine

CONDITIONS = "conditions"
MARKED = re.compile(r"<!-- compare ([a-z0-9-]+): begin -->\n(?:.*?)<!-- compare \1: end -->", re.DOTALL)
NOT_RUN = "not run"


class PageIncomplete(Exception):
    """A page has no place for a table, or a place for a table that does not exist."""


def write(folder: Path, part: ComparisonPart, stored: Mapping[str, StoredLine], template: str) -> list[Path]:
    """Write the page of a part, with the prose of `template`, and its plots; returns what was written.

    Plots of an earlier run are removed. Raises PageIncomplete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.glob(f"{part.name}-*.svg"):
        former.unlink()
    plots = {name: text for line in part.lines() if line.key in stored for name, text in _plots(part, line, stored)}
    for name, text in plots.items():
        (folder / name).write_text(text, encoding="utf-8")
    page = folder / f"{part.name}.md"
    page.write_text(filled(part, stored, template), encoding="utf-8")
    return [page, *(folder / name for name in plots)]


def filled(part: ComparisonPart, stored: Mapping[str, StoredLine], template: str) -> str:
    """The text of a page with everything between its marks written from the stored lines. Raises PageIncomplete."""
    parts = {table.key: _table(part, table, stored) for table in part.tables}
    parts[CONDITIONS] = _conditions(part, stored)
    marks = [found[1] for found in MARKED.finditer(template)]
    if sorted(marks) != sorted(parts):
        raise PageIncomplete(
            f"the page of {part.name} has the marks {sorted(marks)}, and should have {sorted(parts)}: "
            "<!-- compare x: begin --> and <!-- compare x: end -->, each on a line of its own"
        )

    def block(found: re.Match[str]) -> str:
        key = found[1]
        text = "\n".join(parts[key])
        return f"<!-- compare {key}: begin -->\n\n{text}\n\n<!-- compare {key}: end -->"

    return MARKED.sub(block, template)


def shown(cell: Cell) -> str:
    """A cell as the page and the terminal show it."""
    if cell.skipped:
        return f"skipped: {cell.text}"
    return f"{cell.text} (**unexpected**: {cell.unexpected})" if cell.unexpected else cell.text


def _table(part: ComparisonPart, table: ComparisonTable, stored: Mapping[str, StoredLine]) -> list[str]:
    rows = [
        f"| {' | '.join((table.title, *table.columns, 'Line', 'Test'))} |",
        "|---" * (len(table.columns) + 3) + "|",
    ]
    after: list[str] = []
    for line in table.lines:
        found = stored.get(line.key)
        cells = [shown(found.result.cells[column]) if found else NOT_RUN for column in table.columns]
        tests = ", ".join(f"`{test}`" for test in line.tests)
        rows.append(f"| {' | '.join((line.question, *cells, f'`{line.key}`', tests))} |")
        if found:
            after += [f"- `{line.key}`: {note}" for note in found.result.notes]
    for line in table.lines:
        if line.key in stored:
            after += [f"\n![{line.question}]({name})" for name, _ in _plots(part, line, stored)]
    return [*rows, *(["", *after] if after else [])]


def _plots(part: ComparisonPart, line: Line, stored: Mapping[str, StoredLine]) -> Iterator[tuple[str, str]]:
    result = stored[line.key].result
    if numbers := [found for found in result.numbers if found.values]:
        yield f"{part.name}-{line.key}.svg", number_plot(numbers, _unit(line, numbers))
    if latencies := [found for found in result.latencies if found.samples]:
        yield f"{part.name}-{line.key}-latencies.svg", share_plot(latencies)


def _unit(line: Line, numbers: list[NumberFound]) -> str:
    units = {found.unit for found in numbers}
    if len(units) > 1:
        raise ValueError(f"the numbers of the line {line.key} are drawn on one axis, and have the units {units}")
    return units.pop()


def _conditions(part: ComparisonPart, stored: Mapping[str, StoredLine]) -> list[str]:
    kept = {line.key: stored[line.key].conditions for line in part.lines() if line.key in stored}
    if not kept:
        return ["No line was run yet."]
    return [_condition(each, [key for key in kept if kept[key] == each]) for each in dict.fromkeys(kept.values())]


def _condition(conditions: LineConditions, keys: list[str]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in conditions.versions)
    lines = ", ".join(f"`{key}`" for key in keys)
    return (
        f"- {lines}: `{conditions.command}` on revision {conditions.revision}, seed {conditions.seed}, "
        f"{conditions.machine}. {versions}."
    )
