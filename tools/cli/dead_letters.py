"""`event-trio dead-letters`: events that a service could not handle."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tools.cli.message_changes import MessageChange, change, change_all
from tools.cli.message_queries import find_messages, list_items
from tools.cli.output import moment
from tools.cli.session import CONSUMER_URL, AsJson, ConsumerUrl, Limit, Reason, Service, Token, Yes
from tools.cli.session_group import SessionGroup, open_sessions

__all__ = ["app", "change"]

app = typer.Typer(
    help="Events that a consumer could not handle: look, run them again, give them up. All declared services are "
    "asked, unless --service or --url names one.",
    no_args_is_help=True,
)

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
    service: Service = None,
    url: ConsumerUrl = CONSUMER_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """List dead letters, the newest first."""
    criteria = {"type": type, "group": group, "reason": failure}
    with open_sessions(context, url, token, json) as asked:
        items = list_items(asked, "/v1/dead-letters", criteria, limit, "no dead letters")
        rows = [
            (item["service"], item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             moment(item["deferred_at"]), item["reason"], str(item["attempts"]), item["error"] or "")
            for item in items
        ]  # fmt: skip
        headings = ("service", "event", "type", "group", "sequence", "since", "reason", "failed attempts", "error")
        if rows and not json:
            asked.output.table(headings, rows)


@app.command()
def audit(
    context: typer.Context,
    event: Annotated[str | None, typer.Option(help="Only what concerns this event.", show_default=False)] = None,
    group: Group = None,
    by: Annotated[str | None, typer.Option("--by", help="Only what this operator did.", show_default=False)] = None,
    limit: Limit = 20,
    service: Service = None,
    url: ConsumerUrl = CONSUMER_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """List what operators did about messages, and why, newest first."""
    criteria = {"event_id": event, "group": group, "actor": by}
    with open_sessions(context, url, token, json) as asked:
        items = list_items(asked, "/v1/operator-actions", criteria, limit, "nothing was done about messages")
        rows = [
            (moment(item["done_at"]), item["actor"], item["action"], item["event_id"], item["type"] or "",
             item["message_group"], item["reason"], item["service"])
            for item in items
        ]  # fmt: skip
        if rows and not json:
            asked.output.table(("when", "who", "did", "event", "type", "group", "because", "service"), rows)


@app.command()
def show(
    context: typer.Context,
    event_id: str,
    service: Service = None,
    url: ConsumerUrl = CONSUMER_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Show one dead letter with its envelope, which may hold personal data."""

    gone = (
        f"{event_id} is no dead letter at {{whom}}: it is unknown there, or it was handled or discarded "
        f"since; ./event-trio dead-letters audit --event {event_id} says what was done"
    )
    with open_sessions(context, url, token, json) as asked:
        for whom, letter in find_messages(asked, "/v1/dead-letters", event_id, gone):
            _show(asked, whom, letter)


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
    wait: Annotated[bool, typer.Option("--wait", help="Follow each until it is handled or dead again.")] = False,
    wait_seconds: Annotated[float, typer.Option(min=1, help="How long --wait follows them.")] = 60.0,
    service: Service = None,
    url: ConsumerUrl = CONSUMER_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Let dead letters run again, in the order of their groups, through the same handlers."""
    body = {**_selection(event_id, type, group, failure, all), "reason": reason, "per_second": rate, "limit": limit}
    with open_sessions(context, url, token, json) as asked:
        change_all(
            asked, MessageChange("redrive", body, follow=wait_seconds if wait else None), dry_run=dry_run, yes=yes
        )


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
    service: Service = None,
    url: ConsumerUrl = CONSUMER_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Give dead letters up for good; what waits behind one goes on."""
    body = {**_selection(event_id, type, group, failure, all), "reason": reason, "limit": limit}
    with open_sessions(context, url, token, json) as asked:
        change_all(asked, MessageChange("discard", body), dry_run=dry_run, yes=yes)


def _selection(
    event_id: str | None, type: str | None, group: str | None, failure: str | None, all: bool
) -> dict[str, object]:
    restricted = any((event_id, type, group, failure))
    if not restricted and not all:
        raise typer.BadParameter("say which: an event's id, --type, --group or --failure; or --all of them")
    if restricted and all:
        raise typer.BadParameter("--all is all of them: leave it out beside an event's id or a filter")
    return {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all}


def _show(asked: SessionGroup, whom: str, letter: Mapping[str, Any]) -> None:
    names = ("event_id", "type", "message_group", "sequence", "reason", "error", "blocks", "envelope")
    facts = {name.replace("_", " "): str(letter[name]) for name in names if letter[name] is not None}
    asked.output.facts({"at": whom, **facts, "failed attempts": str(letter["attempts"])})
    for action in letter["actions"]:
        asked.output.line(f"{action['action']} by {action['actor']} at {moment(action['done_at'])}: {action['reason']}")
