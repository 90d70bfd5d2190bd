"""`event-trio dead-letters`: events that a service could not process."""

from __future__ import annotations

from typing import Annotated

import typer

from tools.cli.formats import timestamp
from tools.cli.message_changes import ChangeRequest, change_all
from tools.cli.message_queries import find_messages, list_items, show_message
from tools.cli.options import (
    CONSUMER_URL,
    All,
    AsJson,
    ConsumerUrl,
    DryRun,
    EventId,
    Failure,
    Group,
    Limit,
    MaxEvents,
    Reason,
    Service,
    ShowReason,
    Token,
    Type,
    Yes,
)
from tools.cli.session_group import open_sessions

app = typer.Typer(
    help="Events that a consumer could not process: inspect, redrive or discard them. All declared services are "
    "queried, unless --service or --url selects one.",
    no_args_is_help=True,
)

PATH = "/v1/dead-letters"


@app.command("list")
def list_dead_letters(
    context: typer.Context, type: Type = None, group: Group = None, failure: Failure = None, limit: Limit = 50,
    service: Service = None, url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List dead letters, the newest first."""
    criteria = {"type": type, "group": group, "reason": failure}
    with open_sessions(context, url, token, json) as sessions:
        items = list_items(sessions, PATH, criteria, limit, empty="no dead letters")
        rows = [
            (item["service"], item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             timestamp(item["deferred_at"]), item["reason"], str(item["attempts"]), item["error"] or "")
            for item in items
        ]  # fmt: skip
        headings = ("service", "event", "type", "group", "sequence", "since", "reason", "failed attempts", "error")
        if rows and not json:
            sessions.output.table(headings, rows)


@app.command()
def failures(
    context: typer.Context,
    deferred: Annotated[bool, typer.Option("--deferred", help="Of deferred messages instead.")] = False,
    limit: Limit = 20, service: Service = None, url: ConsumerUrl = CONSUMER_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """List what failed alike: the same type, reason and kind of error, with counts and times."""
    criteria = {"status": "pending" if deferred else "dead"}
    with open_sessions(context, url, token, json) as sessions:
        items = list_items(sessions, "/v1/failures", criteria, limit, empty="no failures")
        rows = [
            (item["service"], item["fingerprint"], item["type"] or "", item["reason"], f"{item['messages']:,}",
             f"{item['message_groups']:,}", timestamp(item["first_at"]), timestamp(item["last_at"]),
             item["error"] or "")
            for item in items
        ]  # fmt: skip
        headings = ("service", "fingerprint", "type", "reason", "messages", "groups", "first", "last", "last error")
        if rows and not json:
            sessions.output.table(headings, rows)


@app.command()
def audit(
    context: typer.Context,
    event: Annotated[str | None, typer.Option(help="Only changes of this event.", show_default=False)] = None,
    group: Group = None,
    by: Annotated[str | None, typer.Option("--by", help="Only changes by this operator.", show_default=False)] = None,
    limit: Limit = 20, service: Service = None, url: ConsumerUrl = CONSUMER_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """List the changes that operators made to messages, the newest first."""
    criteria = {"event_id": event, "group": group, "actor": by}
    with open_sessions(context, url, token, json) as sessions:
        items = list_items(sessions, "/v1/operator-actions", criteria, limit, empty="no changes by operators")
        rows = [
            (timestamp(item["done_at"]), item["actor"], item["action"], item["event_id"], item["type"] or "",
             item["message_group"], item["reason"], item["service"])
            for item in items
        ]  # fmt: skip
        if rows and not json:
            sessions.output.table(("when", "operator", "action", "event", "type", "group", "reason", "service"), rows)


@app.command()
def show(
    context: typer.Context, event_id: str, reason: ShowReason = None, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Show a dead letter with its envelope, in which personal data is masked unless a reason is given."""
    missing = (
        f"{event_id} is not a dead letter at {{services}}: it is unknown, or was processed or discarded; "
        f"./event-trio dead-letters audit --event {event_id} lists the changes"
    )
    names = ("event_id", "type", "message_group", "sequence", "reason", "error", "blocks", "envelope")
    with open_sessions(context, url, token, json) as sessions:
        for session, letter in find_messages(sessions, PATH, event_id, missing=missing, reason=reason):
            show_message(session, letter, names)


@app.command()
def redrive(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, all: All = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="Events to start per second.", show_default="no limit")
    ] = None,
    limit: MaxEvents = None, dry_run: DryRun = False, yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome of each event.")] = False,
    wait_seconds: Annotated[float, typer.Option("--wait-seconds", min=1, help="Timeout of --wait.")] = 60.0,
    service: Service = None, url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Process dead letters again, in the order of their groups, with the same handlers."""
    body = {**_selection(event_id, type, group, failure, all), "reason": reason, "per_second": rate, "limit": limit}
    change = ChangeRequest("redrive", body, follow_seconds=wait_seconds if wait else None)
    with open_sessions(context, url, token, json) as sessions:
        change_all(sessions, change, dry_run=dry_run, yes=yes)


@app.command()
def discard(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, all: All = False, limit: MaxEvents = None, dry_run: DryRun = False, yes: Yes = False,
    service: Service = None, url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Discard dead letters permanently; later events of their groups are processed."""
    body = {**_selection(event_id, type, group, failure, all), "reason": reason, "limit": limit}
    with open_sessions(context, url, token, json) as sessions:
        change_all(sessions, ChangeRequest("discard", body), dry_run=dry_run, yes=yes)


def _selection(
    event_id: str | None, type: str | None, group: str | None, failure: str | None, all: bool
) -> dict[str, object]:
    filtered = any((event_id, type, group, failure))
    if not filtered and not all:
        raise typer.BadParameter("select events: give an event id, --type, --group or --failure, or --all")
    if filtered and all:
        raise typer.BadParameter("--all cannot be combined with an event id or a filter")
    return {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all}
