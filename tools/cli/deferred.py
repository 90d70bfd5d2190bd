"""`event-trio deferred`: events that a service put aside, to handle them later."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from tools.cli import times
from tools.cli.message_changes import MessageChange, change_all
from tools.cli.message_queries import find_messages, list_items
from tools.cli.output import moment
from tools.cli.session import CONSUMER_URL, AsJson, ConsumerUrl, Limit, Reason, Service, Token, Yes
from tools.cli.session_group import open_sessions

app = typer.Typer(
    help="Events that a consumer put aside and handles later: look, run them now, give them up. All declared services "
    "are asked, unless --service or --url names one.",
    no_args_is_help=True,
)

PATH = "/v1/deferred-messages"


class Status(StrEnum):
    """What a message waits for."""

    WAITING = "waiting"
    BLOCKED = "blocked"


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
    since: Since = None, until: Until = None, limit: Limit = 50, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List events that wait, the newest first."""
    wanted = {"type": type, "group": group, "reason": failure, "status": status and status.value}
    with open_sessions(context, url, token, json) as asked:
        items = list_items(asked, PATH, {**wanted, **_times(since, until)}, limit, "nothing waits")
        rows = [
            (item["service"], item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             moment(item["deferred_at"]), item["status"], item["due_at"] or "", item["reason"], str(item["attempts"]),
             item["error"] or "")
            for item in items
        ]  # fmt: skip
        headings = ("service", "event", "type", "group", "sequence", "since", "status", "due", "reason",
                    "failed attempts", "error")  # fmt: skip
        if rows and not json:
            asked.output.table(headings, rows)


@app.command()
def show(
    context: typer.Context, event_id: str, service: Service = None, url: ConsumerUrl = CONSUMER_URL,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Show one event that waits with its envelope, which may hold personal data."""
    gone = (
        f"{event_id} does not wait at {{whom}}: it is unknown there, or it was handled, discarded or became a dead "
        f"letter since; ./event-trio dead-letters audit --event {event_id} says what was done"
    )
    names = ("event_id", "type", "message_group", "sequence", "status", "due_at", "taken_until", "reason", "error",
             "blocks", "envelope")  # fmt: skip
    with open_sessions(context, url, token, json) as asked:
        for whom, message in find_messages(asked, PATH, event_id, gone):
            facts = {name.replace("_", " "): str(message[name]) for name in names if message[name] is not None}
            asked.output.facts({"at": whom, **facts, "failed attempts": str(message["attempts"])})
            for action in message["actions"]:
                asked.output.line(
                    f"{action['action']} by {action['actor']} at {moment(action['done_at'])}: {action['reason']}"
                )


@app.command()
def run(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, since: Since = None, until: Until = None, all: All = False, limit: Most = None,
    dry_run: DryRun = False, yes: Yes = False, service: Service = None, url: ConsumerUrl = CONSUMER_URL,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Run events that wait now: the first of each group, which the rest of it follows."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "limit": limit, **_times(since, until)}  # fmt: skip
    _say_which(body)
    with open_sessions(context, url, token, json) as asked:
        change_all(asked, _message_change("run", body), dry_run=dry_run, yes=yes)


@app.command()
def discard(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, status: Which = None, since: Since = None, until: Until = None, all: All = False,
    limit: Most = None, dry_run: DryRun = False, yes: Yes = False, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Give events that wait up for good; what waits behind one goes on."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "status": status and status.value, "limit": limit, **_times(since, until)}  # fmt: skip
    _say_which(body)
    with open_sessions(context, url, token, json) as asked:
        change_all(asked, _message_change("discard", body), dry_run=dry_run, yes=yes)


def _times(since: str | None, until: str | None) -> dict[str, object]:
    return {"since": since and times.parse(since), "until": until and times.parse(until)}


def _say_which(body: Mapping[str, object]) -> None:
    if not any(body.get(name) for name in ("event_id", "type", "group", "failure", "since", "until", "all")):
        raise typer.BadParameter("say which: an event's id, --type, --group, --failure, --since, --until, or --all")


def _message_change(verb: str, body: Mapping[str, object]) -> MessageChange:
    gone = "does not wait at {whom}: unknown, handled, discarded or a dead letter"
    return MessageChange(verb, body, at=PATH, thing="waiting event", gone=gone)
