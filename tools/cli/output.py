"""Writes data to standard output, as tables or JSON, and everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tools.cli.formats import printable

# A pipe has no width, and lines must not be wrapped there.
WIDTH_WITHOUT_TERMINAL = 240


class Output:
    """The two output streams of a command. Rich uses no colors without a terminal or with NO_COLOR."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    def json(self, value: object) -> None:
        """Print data as JSON."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def json_line(self, value: object) -> None:
        """Print data as one line of JSON, at once."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print data as a table."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._out.print(table)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Print named values, one a line; empty values are omitted."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts.items():
            if value:
                table.add_row(name, Text(printable(value)))
        self._out.print(table)

    def tree(self, tree: Tree) -> None:
        """Print data as a tree."""
        self._out.print(tree)

    def line(self, text: str = "") -> None:
        """Print a line of data."""
        self._out.print(Text(printable(text)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a remark to standard error."""
        self._err.print(Text(printable(text)), soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error to standard error."""
        self._err.print(
            Text("error: ", style="bold red").append(printable(text), style="not bold default"), soft_wrap=True
        )

    def ask(self, question: str) -> bool | None:
        """Ask a yes-or-no question; None at the end of standard input."""
        self._err.print(Text(f"{printable(question)} [y/N] "), end="")
        answer = sys.stdin.readline()
        return answer.strip().lower() in {"y", "yes"} if answer else None

    def progress(self, title: str) -> Progress:
        """A progress bar on standard error, shown only on a terminal."""
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
        )
        progress.add_task(title, total=1.0)
        return progress


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").strip("0").isdigit() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
