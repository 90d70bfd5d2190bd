"""`event-trio deferred`: events that a service deferred, to process them later."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from tools.cli import times
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
    Since,
    Token,
    Type,
    Until,
    Yes,
)
from tools.cli.session_group import open_sessions

app = typer.Typer(
    help="Events that a consumer deferred and processes later: inspect them, run them now, or discard them. All "
    "declared services are queried, unless --service or --url selects one.",
    no_args_is_help=True,
)

PATH = "/v1/deferred-messages"
SELECTORS = ("event_id", "type", "group", "failure", "since", "until", "all")


class StatusFilter(StrEnum):
    """What a deferred message waits for."""

    WAITING = "waiting"
    BLOCKED = "blocked"


Status = Annotated[
    StatusFilter | None,
    typer.Option(
        "--status", help="Only events that wait for their retry time, or behind an earlier event of their group.",
        show_default=False,
    ),
]  # fmt: skip


@app.command("list")
def list_messages(
    context: typer.Context, type: Type = None, group: Group = None, failure: Failure = None, status: Status = None,
    since: Since = None, until: Until = None, limit: Limit = 50, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List deferred events, the newest first."""
    criteria = {"type": type, "group": group, "reason": failure, "status": status and status.value}
    with open_sessions(context, url, token, json) as sessions:
        items = list_items(sessions, PATH, {**criteria, **_times(since, until)}, limit, empty="no deferred events")
        rows = [
            (item["service"], item["event_id"], item["type"] or "", item["message_group"], str(item["sequence"] or ""),
             timestamp(item["deferred_at"]), item["status"], item["due_at"] or "", item["reason"],
             str(item["attempts"]), item["error"] or "")
            for item in items
        ]  # fmt: skip
        headings = ("service", "event", "type", "group", "sequence", "since", "status", "due", "reason",
                    "failed attempts", "error")  # fmt: skip
        if rows and not json:
            sessions.output.table(headings, rows)


@app.command()
def show(
    context: typer.Context, event_id: str, reason: ShowReason = None, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Show a deferred event with its envelope, in which personal data is masked unless a reason is given."""
    missing = (
        f"{event_id} is not deferred at {{services}}: it is unknown, or was processed, discarded or dead-lettered; "
        f"./event-trio dead-letters audit --event {event_id} lists the changes"
    )
    names = ("event_id", "type", "message_group", "sequence", "status", "due_at", "taken_until", "reason", "error",
             "blocks", "envelope")  # fmt: skip
    with open_sessions(context, url, token, json) as sessions:
        for session, message in find_messages(sessions, PATH, event_id, missing=missing, reason=reason):
            show_message(session, message, names)


@app.command()
def run(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, since: Since = None, until: Until = None, all: All = False, limit: MaxEvents = None,
    dry_run: DryRun = False, yes: Yes = False, service: Service = None, url: ConsumerUrl = CONSUMER_URL,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Process deferred events now: the first of each group, then the rest of the group."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "limit": limit, **_times(since, until)}  # fmt: skip
    change = _change("run", body)
    with open_sessions(context, url, token, json) as sessions:
        change_all(sessions, change, dry_run=dry_run, yes=yes)


@app.command()
def discard(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, status: Status = None, since: Since = None, until: Until = None, all: All = False,
    limit: MaxEvents = None, dry_run: DryRun = False, yes: Yes = False, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Discard deferred events permanently; later events of their groups are processed."""
    body = {"event_id": event_id, "type": type, "group": group, "failure": failure, "all": all, "reason": reason,
            "status": status and status.value, "limit": limit, **_times(since, until)}  # fmt: skip
    change = _change("discard", body)
    with open_sessions(context, url, token, json) as sessions:
        change_all(sessions, change, dry_run=dry_run, yes=yes)


def _times(since: str | None, until: str | None) -> dict[str, object]:
    return {"since": since and times.parse(since), "until": until and times.parse(until)}


def _change(verb: str, body: Mapping[str, object]) -> ChangeRequest:
    """Raises typer.BadParameter when the body selects no events."""
    if not any(body.get(name) for name in SELECTORS):
        raise typer.BadParameter(
            "select events: give an event id, --type, --group, --failure, --since or --until, or --all"
        )
    missing = "is not deferred at {services}: it is unknown, processed, discarded or dead-lettered"
    return ChangeRequest(verb, body, at=PATH, noun="deferred event", missing=missing)
