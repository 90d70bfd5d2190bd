"""The commands of `event-trio`: nouns first, then verbs."""

import typer

from tools.cli import dead_letters, deferred, outbox, outbox_changes, status, token

app = typer.Typer(
    help="Operate event-trio: look at what is stuck, and resolve it.",
    epilog="Exit status: 0 done, 1 refused, not reachable or not well, 2 used wrongly. Data goes to standard output, "
    "all else to standard error. Begin with: ./event-trio status",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(status.app)
outbox.app.add_typer(outbox_changes.app)
app.add_typer(outbox.app, name="outbox")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(deferred.app, name="deferred")
app.add_typer(token.app)


@app.callback()
def main() -> None:
    """Operate event-trio: look at what is stuck, and resolve it."""
