"""`event-trio deferred`: events that a service put aside, to handle them later."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from tools.cli import moments
from tools.cli.bulk import Bulk
from tools.cli.client import Answer, segment
from tools.cli.errors import CommandFailed
from tools.cli.screen import moment
from tools.cli.session import AsJson, Limit, Reason, Session, Token, Yes, session

app = typer.Typer(
    help="Events that a consumer put aside and handles later: look, run them now, give them up.", no_args_is_help=True
)

PATH = "/v1/deferred-messages"
SERVICE_URL = "http://127.0.0.1:8001"


class Status(StrEnum):
    """What a message waits for."""

    WAITING = "waiting"
    BEHIND = "behind"


Url = Annotated[
    str,
    typer.Option("--url", envvar="EVENT_TRIO_CONSUMER_URL", help="The consuming service's address (8000: orders)."),
]
EventId = Annotated[str | None, typer.Argument(help="The event's id; without it, a filter or --all says which.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.", show_default=False)]
Group = Annotated[str | None, typer.Option("--group", help="Only events of this group.", show_default=False)]
Failure = Annotated[
    str | None, typer.Option("--failure", help="Only those put aside for this reason.", show_default=False)
]
Which = Annotated[
    Status | None,
    typer.Option("--status", help="Only those that are due at a time, or wait behind others.", show_default=False),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Put aside then or later: ISO 8601, or 90m, 2h, 7d ago.", show_default=False),
]
Until = Annotated[str | None, typer.Option("--until", help="Put aside before then.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")]
Most = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many at the most.", show_default=False)]


@app.command("list")
def list_messages(
    context: typer.Context, type: Type = None, group: Group = None, failure: Failure = None, status: Which = None,
    since: Since = None, until: Until = None, limit: Limit = 50, url: Url = SERVICE_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """List events that wait, the newest first."""
    wanted = {"type": type, "group": group, "reason": failure, "status": status and status.value}
    with session(context, url, token, json) as found:
        page = found.api.list(PATH, {**wanted, **_times(since, until)}, limit=limit)
        if json:
            found.screen.json(page)
            return
        rows = [
            (item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             moment(item["deferred_at"]), item["status"], item["due_at"] or "", item["reason"], str(item["attempts"]),
             item["error"] or "")
            for item in page["items"]
        ]  # fmt: skip
        if rows:
            headings = ("event", "type", "group", "sequence", "since", "status", "due", "reason", "attempts", "error")
            found.screen.table(headings, rows)
        else:
            found.screen.note(f"nothing waits at {url}")
        if page["next_cursor"]:
            found.screen.note(f"there are more than {limit}; --limit shows more")


@app.command()
def show(
    context: typer.Context, event_id: str, url: Url = SERVICE_URL, token: Token = None, json: AsJson = False
) -> None:
    """Show one event that waits with its envelope, which may hold personal data."""
    with session(context, url, token, json) as found:
        message = found.api.get(f"{PATH}/{segment(event_id)}")
        if json:
            found.screen.json(message)
            return
        names = ("event_id", "type", "message_group", "sequence", "status", "due_at", "taken_until", "reason", "error",
                 "attempts", "blocks", "envelope")  # fmt: skip
        found.screen.facts({name.replace("_", " "): str(message[name]) for name in names if message[name] is not None})
        for action in message["actions"]:
            found.screen.line(
                f"{action['action']} by {action['actor']} at {moment(action['done_at'])}: {action['reason']}"
            )


@app.command()
def run(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, since: Since = None, until: Until = None, all: All = False, limit: Most = None,
    dry_run: DryRun = False, yes: Yes = False, url: Url = SERVICE_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Run events that wait now: the first of each group, which the rest of it follows."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "limit": limit, **_times(since, until)}  # fmt: skip
    _say_which(body)
    with session(context, url, token, json) as found:
        _change(found, "run", body, dry_run=dry_run, yes=yes)


@app.command()
def discard(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, status: Which = None, since: Since = None, until: Until = None, all: All = False,
    limit: Most = None, dry_run: DryRun = False, yes: Yes = False, url: Url = SERVICE_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Give events that wait up for good; what waits behind one goes on."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "status": status and status.value, "limit": limit, **_times(since, until)}  # fmt: skip
    _say_which(body)
    with session(context, url, token, json) as found:
        _change(found, "discard", body, dry_run=dry_run, yes=yes)


def _times(since: str | None, until: str | None) -> dict[str, object]:
    return {"since": since and moments.parse(since), "until": until and moments.parse(until)}


def _say_which(body: Mapping[str, object]) -> None:
    if not any(body.get(name) for name in ("event_id", "type", "group", "failure", "since", "until", "all")):
        raise typer.BadParameter("say which: an event's id, --type, --group, --failure, --since, --until, or --all")


def _change(found: Session, verb: str, body: Mapping[str, object], *, dry_run: bool, yes: bool) -> None:
    """Change all that fits, and tell which; raises CommandFailed, saying how far it came."""
    bulk = Bulk(found, verb, body, at=PATH)
    meant = bulk.look()
    if dry_run:
        _tell(found, f"would {verb}", meant, dry_run=True)
        return
    if meant:
        found.confirm(f"{verb} {len(meant):,} waiting event{'' if len(meant) == 1 else 's'}?", yes=yes)
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
