"""Runs lines one after the other, shows progress, and returns what each found."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import typer

from benchmarks.suite.reference import current
from comparisons.contract import Cell, ComparisonPart, Line, LineResult, NotAvailable
from comparisons.environment import ComparisonEnvironment
from comparisons.page import shown
from comparisons.stored import LineConditions, StoredLine

REASON_CHARACTERS = 200


class LinesFailed(Exception):
    """Lines ended with an error, in time-out, or with something unexpected."""


async def run(
    part: ComparisonPart, lines: Sequence[Line], environment: ComparisonEnvironment, command: str
) -> AsyncIterator[tuple[str, StoredLine]]:
    """Run these lines of a part; yields each result as soon as it is there.

    A line for which something is missing on this machine is skipped with the reason. One that ends with an error
    has the error as its result. Raises LinesFailed at the end.
    """
    failed, revision = list[str](), current()  # before results are written, which change the working tree
    for number, line in enumerate(lines, 1):
        typer.echo(f"{part.name} {number}/{len(lines)}: {line.key}: {line.question}")
        began = time.monotonic()
        try:
            result = await _bounded(line, environment)
            _check(part, line, result)
        except NotAvailable as error:
            typer.echo(f"  skipped: {error}")
            continue
        except Exception as error:  # noqa: BLE001 - the other lines are run, whatever it is
            result = _failure(part, line, error)
        for column, cell in result.cells.items():
            typer.echo(f"  {column}: {shown(cell)}")
        typer.echo(f"  {time.monotonic() - began:.1f} s")
        if any(cell.unexpected for cell in result.cells.values()):
            failed.append(line.key)
        yield line.key, StoredLine(_conditions(environment.seed, command, revision, result.versions), result)
    if failed:
        raise LinesFailed(f"failed: {', '.join(failed)}")


async def _bounded(line: Line, environment: ComparisonEnvironment) -> LineResult:
    try:
        async with asyncio.timeout(line.most_seconds) as limit:
            return await line.run(environment)
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"not done after {line.most_seconds:.0f} s") from error
        raise


def _check(part: ComparisonPart, line: Line, result: LineResult) -> None:
    """Raise ValueError when a column is missing or unknown: the page would show it as if it were not run."""
    columns = set(_columns(part, line))
    if columns != set(result.cells):
        raise ValueError(f"{line.key} found {sorted(result.cells)}, and its table has {sorted(columns)}")


def _failure(part: ComparisonPart, line: Line, error: Exception) -> LineResult:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:REASON_CHARACTERS]
    return LineResult({column: Cell(f"failed: {reason}", "an answer") for column in _columns(part, line)})


def _columns(part: ComparisonPart, line: Line) -> Sequence[str]:
    return next(table.columns for table in part.tables if line in table.lines)


def _conditions(seed: int, command: str, revision: str, versions: Mapping[str, str]) -> LineConditions:
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d}, {sys.platform} {platform.machine()}, {os.cpu_count()} cores, "
        "all servers on the loopback"
    )
    ours = {"event-trio": version("event-trio"), "Python": platform.python_version()}
    return LineConditions(command, revision, seed, machine, tuple((ours | dict(versions)).items()))
