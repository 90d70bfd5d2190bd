"""`event-trio redrives`: redrives of any number of dead letters, which continue without the command."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from tools.cli import times
from tools.cli.client import Answer
from tools.cli.errors import CommandFailed
from tools.cli.formats import plural, timestamp
from tools.cli.message_queries import list_items
from tools.cli.options import (
    CONSUMER_URL,
    All,
    AsJson,
    ConsumerUrl,
    DryRun,
    EventId,
    Failure,
    Fingerprint,
    Group,
    Limit,
    Reason,
    Service,
    Since,
    Token,
    Type,
    Until,
    Yes,
)
from tools.cli.session import Session, ensure_confirmed
from tools.cli.session_group import SessionGroup, open_sessions

app = typer.Typer(
    help="Redrives that a service carries out by itself, in steps: request, follow, list or stop them.",
    no_args_is_help=True,
)

PATH = "/v1/redrives"
POLL_SECONDS = 0.5

Number = Annotated[int, typer.Argument(min=1, help="Number of the redrive; see `list`.", show_default=False)]
Follow = Annotated[bool, typer.Option("--wait/--no-wait", help="Show the progress until every message has an outcome.")]


@app.command("list")
def list_redrives(
    context: typer.Context, limit: Limit = 20, service: Service = None, url: ConsumerUrl = CONSUMER_URL,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List redrives, the newest first."""
    with open_sessions(context, url, token, json) as sessions:
        items = list_items(sessions, PATH, {}, limit, empty="no redrives")
        rows = [
            (item["service"], str(item["id"]), timestamp(item["requested_at"]), item["requested_by"], _state(item),
             f"{item['redriven']:,} of {_count(item['chosen'])}", item["reason"])
            for item in items
        ]  # fmt: skip
        if rows and not json:
            sessions.output.table(("service", "redrive", "requested", "operator", "state", "made due", "reason"), rows)


@app.command()
def start(
    context: typer.Context, reason: Reason, event_id: EventId = None, type: Type = None, group: Group = None,
    failure: Failure = None, fingerprint: Fingerprint = None, since: Since = None, until: Until = None,
    all: All = False,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, max=1000, help="Messages to start per second.", show_default="no limit"),
    ] = None,
    dry_run: DryRun = False, yes: Yes = False, wait: Follow = True, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Redrive the dead letters that match now, in the order of their groups. Shows their number first.

    The redrive continues when the command is interrupted; `stop` ends it.
    """
    criteria: dict[str, object] = {
        "event_id": event_id,
        "type": type,
        "group": group,
        "failure": failure,
        "fingerprint": fingerprint,
        "since": times.parse(since) if since else None,
        "until": times.parse(until) if until else None,
    }
    if all == any(value is not None for value in criteria.values()):
        raise typer.BadParameter("select dead letters: give an event id or a filter, or else --all")
    body = {**criteria, "all": all, "reason": reason, "per_second": rate}
    with open_sessions(context, url, token, json) as sessions:
        counted = sessions.each(lambda session: session.api.post(PATH, {**body, "dry_run": True}))
        if not counted:
            raise typer.Exit(1)
        matching = [(session, found) for session, found in counted if found["messages"]["value"]]
        for session, found in matching:
            groups = plural(found["message_groups"], "message group")
            sessions.output.note(f"{session.label}: {_count(found['messages'])} dead letters of {groups}")
        if dry_run:
            _show(sessions, [{"service": session.service, **found} for session, found in counted], "would redrive")
            return
        if not matching:
            raise CommandFailed("no dead letter matches, so nothing would be redriven")
        if len(matching) > 1 and yes and not sessions.explicit:
            raise CommandFailed(
                "several services have dead letters that match: select one with --service NAME, or leave out --yes"
            )
        if not yes:
            ensure_confirmed(sessions.output, "Redrive them?")
        redrives = []
        for session, _ in matching:
            requested = session.api.post(PATH, body)["redrive"]
            # Said at once: a failure at the next service must not hide the redrive that continues at this one.
            sessions.output.note(f"{session.label}: redrive {requested['id']} was requested")
            redrives.append((session, requested))
        states = [
            {"service": session.service, **(_follow(session, each["id"]) if wait else each)}
            for session, each in redrives
        ]
        _show(sessions, states, "redrive")


@app.command()
def show(
    context: typer.Context, redrive: Number, wait: Follow = False, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Show the progress of a redrive, and what became of its messages."""
    with open_sessions(context, url, token, json) as sessions:
        session = _only(sessions)
        state = _follow(session, redrive) if wait else session.api.get(f"{PATH}/{redrive}")
        _show(sessions, [{"service": session.service, **state}], "redrive")


@app.command()
def stop(
    context: typer.Context, redrive: Number, reason: Reason, yes: Yes = False, service: Service = None,
    url: ConsumerUrl = CONSUMER_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Stop a redrive; messages that were made due run, the others stay dead letters."""
    with open_sessions(context, url, token, json) as sessions:
        session = _only(sessions)
        session.confirm(f"Stop redrive {redrive}?", yes=yes)
        state = session.api.post(f"{PATH}/{redrive}/stop", {"reason": reason})
        _show(sessions, [{"service": session.service, **state}], "redrive")


def _only(sessions: SessionGroup) -> Session:
    """The selected service. Raises CommandFailed if there are several."""
    found = [session for session, _ in sessions.each(lambda session: session)]
    if len(found) != 1:
        raise CommandFailed("each service numbers its redrives by itself: select one with --service NAME")
    return found[0]


def _follow(session: Session, redrive: int) -> Answer:
    """The redrive when every message that it made due has an outcome."""
    with session.output.progress("redriving") as progress:
        while True:
            state = session.api.get(f"{PATH}/{redrive}")
            done = state["completed"] + state["dead"]
            progress.update(progress.task_ids[0], completed=done / max(1, state["chosen"]["value"]))
            if state["finished_at"] and not state["waiting"]:
                return state
            try:
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                raise CommandFailed(
                    f"redrive {redrive} continues: ./event-trio redrives show {redrive} --wait follows it, stop ends it"
                ) from None


def _show(sessions: SessionGroup, states: list[dict[str, Any]], what: str) -> None:
    if sessions.output.as_json:
        sessions.output.json({"items": states})
        return
    for state in states:
        if "messages" in state:
            sessions.output.line(f"{what} {_count(state['messages'])} dead letters at {state['service']}")
            continue
        outcomes = [f"{state[name]:,} {text}" for name, text in OUTCOMES.items() if state.get(name) is not None]
        progress = ", ".join([f"{state['redriven']:,} of {_count(state['chosen'])} made due", *outcomes])
        sessions.output.line(f"{what} {state['id']} at {state['service']}: {_state(state)}; {progress}")


OUTCOMES = {"waiting": "not handled yet", "completed": "completed", "dead": "dead letters again"}


def _state(redrive: Answer) -> str:
    if redrive["stopped_at"]:
        return f"stopped by {redrive['stopped_by']}"
    return "finished" if redrive["finished_at"] else "under way"


def _count(count: Answer) -> str:
    return f"{count['value']:,}{' or more' if count['at_least'] else ''}"
