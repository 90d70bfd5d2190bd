"""`event-trio events tail`: what happens to events at all services, as it happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from tools.cli import times
from tools.cli.errors import CommandFailed
from tools.cli.feed import Feed, Notice, Step
from tools.cli.journey.drawing import clock, milliseconds
from tools.cli.options import AsJson, Since, Token, Type
from tools.cli.output import Output
from tools.cli.processes import open_processes
from tools.cli.session import reporting_errors

app = typer.Typer(help="What happens to events.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """What happens to events."""


@app.command()
def tail(
    order: Annotated[
        str | None, typer.Option("--order", help="Only events of this order, or another subject.", show_default=False)
    ] = None,
    type: Type = None, since: Since = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="End after so many steps.", show_default=False)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="End after so many seconds.", show_default=False)
    ] = None,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Follow events over all services until Ctrl-C: recorded, sent, published, handled, deferred, dead letters.

    Each service is polled once a second. A service that is away is named, and polled until it returns. The times are
    those of the services' databases; lines of different services may arrive up to a second late, and are then out of
    order. With --json, each line is an object. Ctrl-C ends it with exit status 0.
    """
    began = datetime.fromisoformat(times.parse(since)) if since else datetime.now(UTC)
    with reporting_errors(json) as output, open_processes(token, output.note) as processes:
        services = [each for each in processes if not each.address.is_relay]
        if not services:
            raise CommandFailed("no service is declared")
        feed = Feed(services, since=began, criteria={"subject": order, "type": type})
        output.note(f"following {', '.join(each.name for each in services)}; Ctrl-C ends")
        try:
            _print(output, feed, count, seconds)
        except KeyboardInterrupt:
            output.note("")
        finally:
            feed.stop()


def _print(output: Output, feed: Feed, count: int | None, seconds: float | None) -> None:
    shown = 0
    for found in feed.steps(seconds=seconds):
        if isinstance(found, Notice):
            output.note(found.text)
            continue
        _show(output, found)
        shown += 1
        if count is not None and shown >= count:
            return


def _show(output: Output, step: Step) -> None:
    if output.as_json:
        took = {"milliseconds_since_recorded": step.milliseconds, "detail": step.detail or None}
        names = ("service", "name", "event_id", "type", "subject")
        output.json_line({"at": step.at.isoformat(), **{name: getattr(step, name) for name in names}, **took})
        return
    since_recorded = milliseconds(step.milliseconds)
    output.line(
        f"{clock(step.at)}  {step.service:<14} {step.name:<16} {since_recorded:>11}  {step.type:<20} {step.subject}  "
        f"{step.event_id}{'  ' if step.detail else ''}{step.detail}"
    )
