"""`event-trio dead-letters`: events that a service could not handle."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tools.cli.bulk import Bulk
from tools.cli.client import Answer, segment
from tools.cli.errors import CommandFailed
from tools.cli.screen import moment
from tools.cli.session import AsJson, Limit, Reason, Session, Token, Yes, session

app = typer.Typer(
    help="Events that a consumer could not handle: look, run them again, give them up.", no_args_is_help=True
)

SERVICE_URL = "http://127.0.0.1:8001"
Url = Annotated[
    str,
    typer.Option("--url", envvar="EVENT_TRIO_CONSUMER_URL", help="The consuming service's address (8000: orders)."),
]
EventId = Annotated[str | None, typer.Argument(help="The event's id; without it, a filter or --all says which.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.", show_default=False)]
Group = Annotated[str | None, typer.Option("--group", help="Only events of this group.", show_default=False)]
Failure = Annotated[str | None, typer.Option("--failure", help="Only those that failed for this reason.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")]
Most = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at the most.", show_default=False)]


@app.command("list")
def list_letters(
    context: typer.Context,
    type: Type = None,
    group: Group = None,
    failure: Failure = None,
    limit: Limit = 50,
    url: Url = SERVICE_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """List dead letters, the newest first."""
    with session(context, url, token, json) as found:
        page = found.api.list("/v1/dead-letters", {"type": type, "group": group, "reason": failure}, limit=limit)
        if json:
            found.screen.json(page)
            return
        rows = [
            (item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             moment(item["deferred_at"]), item["reason"], str(item["attempts"]), item["error"] or "")
            for item in page["items"]
        ]  # fmt: skip
        if rows:
            found.screen.table(("event", "type", "group", "sequence", "since", "reason", "attempts", "error"), rows)
        else:
            found.screen.note("no dead letters")
        if page["next_cursor"]:
            found.screen.note(f"there are more than {limit}; --limit shows more")


@app.command()
def show(
    context: typer.Context, event_id: str, url: Url = SERVICE_URL, token: Token = None, json: AsJson = False
) -> None:
    """Show one dead letter with its envelope, which may hold personal data."""
    with session(context, url, token, json) as found:
        letter = found.api.get(f"/v1/dead-letters/{segment(event_id)}")
        if json:
            found.screen.json(letter)
            return
        names = ("event_id", "type", "message_group", "sequence", "reason", "error", "attempts", "blocks", "envelope")
        found.screen.facts({name.replace("_", " "): str(letter[name]) for name in names if letter[name] is not None})
        for action in letter["actions"]:
            found.screen.line(
                f"{action['action']} by {action['actor']} at {moment(action['done_at'])}: {action['reason']}"
            )


@app.command()
def redrive(
    context: typer.Context,
    reason: Reason,
    event_id: EventId = None,
    type: Type = None,
    group: Group = None,
    failure: Failure = None,
    all: All = False,
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="How many are started each second.")] = None,
    limit: Most = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = SERVICE_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Let dead letters run again, in the order of their groups, through the same handlers."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "per_second": rate, "limit": limit}  # fmt: skip
    with session(context, url, token, json) as found:
        change(found, "redrive", body, dry_run=dry_run, yes=yes)


@app.command()
def discard(
    context: typer.Context,
    reason: Reason,
    event_id: EventId = None,
    type: Type = None,
    group: Group = None,
    failure: Failure = None,
    all: All = False,
    limit: Most = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = SERVICE_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Give dead letters up for good; what waits behind one goes on."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "limit": limit}  # fmt: skip
    with session(context, url, token, json) as found:
        change(found, "discard", body, dry_run=dry_run, yes=yes)


def change(found: Session, verb: str, body: Mapping[str, object], *, dry_run: bool, yes: bool) -> None:
    """Redrive or discard all that fits, and tell which; raises CommandFailed, saying how far it came."""
    bulk = Bulk(found, verb, body)
    meant = bulk.look()
    if dry_run:
        _tell(found, f"would {verb}", meant, dry_run=True)
        return
    if meant:
        found.confirm(f"{verb} {len(meant):,} dead letters?", yes=yes)
    try:
        bulk.change(len(meant))
    except KeyboardInterrupt:
        _tell(found, verb, bulk.done)
        raise CommandFailed(bulk.left(len(meant))) from None
    except CommandFailed as failure:
        if not bulk.done:
            raise
        _tell(found, verb, bulk.done)
        raise CommandFailed(f"{failure}; {bulk.left(len(meant))}") from None
    _tell(found, verb, bulk.done)


def _tell(found: Session, done: str, items: Sequence[Answer], *, dry_run: bool = False) -> None:
    if found.screen.as_json:
        found.screen.json({"dry_run": dry_run, "items": items})
        return
    rows = [(item["event_id"], item["type"] or "", item["message_group"]) for item in items]
    if rows:
        found.screen.table(("event", "type", "group"), rows)
    found.screen.note(f"{done}: {len(rows):,}")
