"""`event-trio event show`: the journey of events over all services."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from event_trio.catalog.journey import tree
from tools.cli import times
from tools.cli.errors import CommandFailed
from tools.cli.formats import plural
from tools.cli.journey.collecting import Collector, Search
from tools.cli.journey.drawing import as_object, draw
from tools.cli.options import AsJson, Since, Token
from tools.cli.processes import failures_of, open_processes
from tools.cli.session import reporting_errors

app = typer.Typer(help="Single events: where each came from, and where it went.", no_args_is_help=True)

SEARCHED = timedelta(days=1)
TRACEPARENT = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")


@app.command()
def show(
    event_id: Annotated[str | None, typer.Argument(help="Id of the event.", show_default=False)] = None,
    order: Annotated[
        str | None, typer.Option("--order", help="All events of this order, or of another subject.", show_default=False)
    ] = None,
    correlation: Annotated[
        str | None, typer.Option("--correlation", help="All events with this correlation id.", show_default=False)
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", help="All events of this trace: its id, or a traceparent.",
                                 show_default=False)
    ] = None,
    since: Since = None, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Draw the journey of events over all services, with the milliseconds of each step.

    Events are recorded, sent, and published when they came back through the publish check. Each consumer then handles
    them, which may cause others. Retries within one delivery are not stored, so they are not shown. A search by
    correlation or trace looks at the last day, unless --since says otherwise. The exit status is 1 if nothing was
    found, or if a service did not answer, because then the picture may be incomplete.
    """
    with reporting_errors(json) as output, open_processes(token, output.note) as processes:
        search = _search(event_id, order, correlation, trace, since)
        found = Collector(processes).collect(search)
        failures = failures_of(processes)
        nodes = tree(found.records)
        if json:
            output.json({"events": [as_object(node) for node in nodes], "complete": found.is_complete and not failures})
        for node in [] if json else nodes:
            output.tree(draw(node))
        if not found.is_complete:
            output.note("there are more events than are shown; restrict the search with --since or an event's id")
        for failure in failures:
            output.error(failure)
        if not nodes:
            known = ", ".join(each.name for each in processes if each.problem is None)
            if not known:
                raise CommandFailed("no event was found, because no process answers")
            hint = f"; if this is the id of an order: --order {event_id}" if event_id else ""
            raise CommandFailed(
                f"no event was found at {known}: it is unknown, or was pruned after its retention{hint}"
            )
        if not json:
            output.note(plural(len(found.records), "event"))
        if failures:
            raise typer.Exit(1)


def _search(
    event_id: str | None, order: str | None, correlation: str | None, trace: str | None, since: str | None
) -> Search:
    """Raises typer.BadParameter unless exactly one criterion is given."""
    if sum(given is not None for given in (event_id, order, correlation, trace)) != 1:
        raise typer.BadParameter("give an event's id, or one of --order, --correlation and --trace")
    trace_id = None
    if trace is not None:
        form = TRACEPARENT.fullmatch(trace.lower())
        if form is None:
            raise typer.BadParameter(f"{trace!r} is neither a trace id of 32 hexadecimal digits nor a traceparent")
        trace_id = form[1]
    is_walk = correlation is not None or trace is not None
    begin = times.parse(since) if since else (datetime.now(UTC) - SEARCHED).isoformat() if is_walk else None
    return Search(event_id, order, correlation, trace_id, begin)
