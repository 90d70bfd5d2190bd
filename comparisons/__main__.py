"""The command of the comparisons: `python -m comparisons`, or `make compare`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import structlog
import typer

from comparisons import page
from comparisons.contract import ComparisonPart, Line
from comparisons.environment import ComparisonEnvironment
from comparisons.registry import PARTS
from comparisons.runner import LinesFailed, run
from comparisons.stored import read, store

PAGES = Path(__file__).parents[1] / "docs" / "comparisons"


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(PARTS)}. By default all.")] = None,
    line: Annotated[list[str] | None, typer.Option(help="Run this line only; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything that is chosen at random.")] = 1,
    output: Annotated[Path, typer.Option(help="The folder for the pages, the plots and the results.")] = PAGES,
    show: Annotated[bool, typer.Option("--list", help="List the parts and their lines; run nothing.")] = False,
    page_only: Annotated[bool, typer.Option("--page-only", help="Run nothing; write the pages again.")] = False,
) -> None:
    """Run alternatives beside each other and write the tables and plots of docs/comparisons.

    Every server is started on the loopback of this machine, and stopped at the end. A line or a column for which
    something is missing on this machine is skipped with the reason. Lines that are not run keep their earlier results.
    """
    chosen = _chosen(parts or list(PARTS), line or [])
    if show:
        for part, lines in chosen:
            for each in lines:
                typer.echo(f"{part.name:12} {each.key:28} {each.question}")
        return
    command = (
        "make compare"
        + (f' PARTS="{" ".join(parts)}"' if parts else "")
        + (f' LINE="{" ".join(line)}"' if line else "")
        + (f" SEED={seed}" if seed != 1 else "")
    )
    # Lines run consumers of the library in this process, whose log would hide the progress.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        if not page_only:
            asyncio.run(_run(chosen, seed, output, command))
    except LinesFailed as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        for part, _ in chosen:
            template = (PAGES / f"{part.name}.md").read_text(encoding="utf-8")
            for path in page.write(output, part, read(output, part.name), template):
                typer.echo(f"written: {path}")


def _chosen(parts: Sequence[str], keys: Sequence[str]) -> list[tuple[ComparisonPart, list[Line]]]:
    """The lines to run. Raises BadParameter for an unknown part or line."""
    if unknown := [name for name in parts if name not in PARTS]:
        raise typer.BadParameter(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    chosen = [(PARTS[name], PARTS[name].lines()) for name in dict.fromkeys(parts)]
    if not keys:
        return chosen
    known = [line.key for _, lines in chosen for line in lines]
    if missing := [key for key in keys if key not in known]:
        raise typer.BadParameter(f"there is no line {missing[0]!r}; there are {', '.join(known)}")
    selected = [(part, [line for line in lines if line.key in keys]) for part, lines in chosen]
    return [(part, lines) for part, lines in selected if lines]


async def _run(chosen: Sequence[tuple[ComparisonPart, list[Line]]], seed: int, output: Path, command: str) -> None:
    failed: list[str] = []
    if all(len(lines) == len(part.lines()) for part, lines in chosen):
        typer.echo(f"this takes about {sum(part.minutes for part, _ in chosen):.0f} minutes")
    for part, lines in chosen:
        try:
            async with ComparisonEnvironment.temporary(seed) as environment:
                async for key, stored in run(part, lines, environment, command):
                    store(output, part.name, {key: stored})
        except LinesFailed as error:
            failed.append(f"{part.name}: {error}")
    if failed:
        raise LinesFailed("; ".join(failed))


if __name__ == "__main__":
    typer.run(main)
