"""The output of the demo: permanent lines and, on a terminal, what is in progress below them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tools.demo.journey import SUBSCRIBED_TYPES, Journey, milliseconds

HEADING = "customer order   event                recorded      sent   published  processed      total"
MAX_ROWS = 8
"""The most journeys in progress that are shown."""


class Display:
    """Writes to a console; only the permanent lines when it is not a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, float] = {}
        self._in_progress: Sequence[Journey] = ()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show what is in progress, on a terminal, until the end of the block."""
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step while it runs, and print its duration at the end."""
        started = self._steps[name] = time.monotonic()
        try:
            yield
        finally:
            del self._steps[name]
            self._refresh()
        self.line(f"  {name}: {time.monotonic() - started:.1f} s")

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def title(self, text: str) -> None:
        """Print a title after an empty line."""
        self.line()
        self.line(text, "bold")

    def journey_heading(self) -> None:
        """Print the headings of the table of journeys."""
        self.line(HEADING, "dim")

    def journey(self, journey: Journey) -> None:
        """Print a journey that is complete."""
        self.line(_row(journey))

    def in_progress(self, journeys: Sequence[Journey]) -> None:
        """Replace the journeys that are shown as in progress."""
        self._in_progress = journeys
        self._refresh()

    def _refresh(self) -> None:
        # Rich prints lines above the last drawn picture, so that is drawn again first.
        if self._live.is_started:
            self._live.refresh()

    def _render(self) -> RenderableType:
        now = time.monotonic()
        steps = [Text(f"  {name} ... {now - started:.0f} s", style="cyan") for name, started in self._steps.items()]
        rows = [Text(_row(journey), style="yellow") for journey in self._in_progress[-MAX_ROWS:]]
        return Group(*steps, *rows)


def _row(journey: Journey) -> str:
    processed = "-" if journey.type not in SUBSCRIBED_TYPES else _interval(journey.sent, journey.processed)
    total = journey.total_ms
    row = (
        f"{_shortened(journey.customer, 8):<9}{journey.order_id[-6:]:<8}{journey.type:<17}"
        f"{journey.recorded.astimezone():%H:%M:%S}.{journey.recorded.microsecond // 1000:03d}"
        f"{_interval(journey.recorded, journey.sent):>10}{_interval(journey.sent, journey.published):>12}"
        f"{processed:>11}{'' if total is None else f'{total:.0f} ms':>11}"
    )
    return row.rstrip()


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _interval(start: datetime | None, end: datetime | None) -> str:
    length = milliseconds(start, end)
    return "..." if length is None else f"{length:+.0f} ms"
