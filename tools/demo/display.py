"""What the demo shows: lines that stay, and on a terminal below them what is going on at the moment."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tools.demo.journey import HANDLED_TYPES, Journey, milliseconds

HEADING = "customer order   event                recorded      sent   published    handled     in all"
LONGEST_LIST = 8


class Display:
    """Writes to a console; plain lines when that is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, float] = {}
        self._under_way: Sequence[Journey] = ()
        self._live = Live(get_renderable=self._moment, console=console, refresh_per_second=8, transient=True)

    @contextmanager
    def on(self) -> Iterator[None]:
        """While this is entered the moment is shown, if there is a terminal to show it on."""
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Something that takes a moment; a line says how long it took."""
        started = self._steps[name] = time.monotonic()
        try:
            yield
        finally:
            del self._steps[name]
            self._refresh()
        self.line(f"  {name}: {time.monotonic() - started:.1f} s")

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def title(self, text: str) -> None:
        self.line()
        self.line(text, "bold")

    def journey_heading(self) -> None:
        self.line(HEADING, "dim")

    def arrived(self, journey: Journey) -> None:
        """An event that is where it should be."""
        self.line(_row(journey))

    def under_way(self, journeys: Sequence[Journey]) -> None:
        """The events that are not there yet, for the moment's picture."""
        self._under_way = journeys
        self._refresh()

    def _refresh(self) -> None:
        # Lines are printed above the picture as it was drawn last, so it is drawn again before they are.
        if self._live.is_started:
            self._live.refresh()

    def _moment(self) -> RenderableType:
        now = time.monotonic()
        steps = [Text(f"  {name} ... {now - started:.0f} s", style="cyan") for name, started in self._steps.items()]
        rows = [Text(_row(journey), style="yellow") for journey in self._under_way[-LONGEST_LIST:]]
        return Group(*steps, *rows)


def _row(journey: Journey) -> str:
    handled = "-" if journey.type not in HANDLED_TYPES else _leg(journey.sent, journey.handled)
    total = journey.recorded_to_handled
    return (
        f"{journey.customer:<9}{journey.order_id[-6:]:<8}{journey.type:<17}"
        f"{journey.recorded.astimezone():%H:%M:%S}.{journey.recorded.microsecond // 1000:03d}"
        f"{_leg(journey.recorded, journey.sent):>10}{_leg(journey.sent, journey.published):>12}{handled:>11}"
        f"{'' if total is None else f'{total:.0f} ms':>11}"
    )


def _leg(start: datetime | None, end: datetime | None) -> str:
    leg = milliseconds(start, end)
    return "..." if leg is None else f"{leg:+.0f} ms"
