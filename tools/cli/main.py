"""The commands of `event-trio`: nouns first, then verbs."""

from __future__ import annotations

import typer

from tools.cli import (
    dead_letters,
    deferred,
    events,
    outbox,
    outbox_changes,
    redrives,
    status,
    tail,
    token,
    topology,
    unknown,
)
from tools.cli.doctor import command as doctor
from tools.cli.help_texts import join_lines

app = typer.Typer(
    help="Operate event-trio: find events that are stuck, and resolve them.",
    epilog="Exit status: 0 success, 1 refused, unreachable or unhealthy, 2 usage error. Data is written to standard "
    "output, everything else to standard error. Start with: ./event-trio doctor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(status.app)
outbox.app.add_typer(outbox_changes.app)
app.add_typer(outbox.app, name="outbox")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(redrives.app, name="redrives")
app.add_typer(events.app, name="event")
tail.app.command()(unknown.unknown)
app.add_typer(tail.app, name="events")
app.add_typer(topology.app, name="topology")
app.add_typer(deferred.app, name="deferred")
app.add_typer(doctor.app)
app.add_typer(token.app)
join_lines(app)


@app.callback()
def main() -> None:
    """Operate event-trio: find events that are stuck, and resolve them."""
