"""Where a command's words go: data to standard output, as tables or JSON; all else to standard error."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

# A pipe has no width; lines are not to be broken there.
WIDTH_WITHOUT_TERMINAL = 240


class Output:
    """Two consoles. Colours are Rich's affair: none without a terminal, none with NO_COLOR."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    def json(self, value: object) -> None:
        """Data for machines."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Data for people, in columns."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._out.print(table)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Data for people, one fact a line; what is empty is left out."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, fact in facts.items():
            if fact:
                table.add_row(name, Text(printable(fact)))
        self._out.print(table)

    def line(self, text: str = "") -> None:
        """Data for people, as it is."""
        self._out.print(Text(printable(text)), soft_wrap=True)

    def note(self, text: str) -> None:
        """What is no data."""
        self._err.print(Text(printable(text)), soft_wrap=True)

    def error(self, text: str) -> None:
        """Why it was not done."""
        self._err.print(
            Text("error: ", style="bold red").append(printable(text), style="not bold default"), soft_wrap=True
        )

    def ask(self, question: str) -> bool | None:
        """Ask a person; None when nobody answers."""
        self._err.print(Text(f"{printable(question)} [y/N] "), end="")
        answer = sys.stdin.readline()
        return answer.strip().lower() in {"y", "yes"} if answer else None

    def progress(self, title: str) -> Progress:
        """A bar on standard error, if that is a terminal."""
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


def printable(text: str) -> str:
    """A text without what a terminal would obey."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def count(found: Mapping[str, Any]) -> str:
    """A count that may have stopped at a bound."""
    return f"{found['value']:,}{' or more' if found['at_least'] else ''}"


def many(number: int, thing: str) -> str:
    """So many of a thing: "1 event", "2,000 events"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def counted(found: Mapping[str, Any], thing: str) -> str:
    """A count of things that may have stopped at a bound: "100,000 or more events"."""
    return f"{count(found)} {thing}{'' if found['value'] == 1 and not found['at_least'] else 's'}"


def moment(text: str | None) -> str:
    """A time in UTC, and how long ago that was."""
    if text is None:
        return ""
    then = datetime.fromisoformat(text).astimezone(UTC)
    return f"{then:%Y-%m-%d %H:%M:%S}Z ({duration((datetime.now(UTC) - then).total_seconds())} ago)"


def duration(seconds: float | None) -> str:
    """A length of time, in the unit that suits it."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").strip("0").isdigit() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
