"""`event-trio outbox`: the commands that change something."""

from __future__ import annotations

import time
from typing import Annotated, Any
from uuid import UUID

import typer

from tools.cli import times
from tools.cli.client import segment
from tools.cli.errors import CommandFailed, NotFound
from tools.cli.formats import plural
from tools.cli.options import RELAY_URL, AsJson, DryRun, Reason, RelayUrl, Service, Since, Token, Until, Wait, Yes
from tools.cli.session import Session, relay_session

app = typer.Typer()

POLL_SECONDS = 0.2

HeldGroup = Annotated[str, typer.Argument(help="The message group: the aggregate's id.", show_default=False)]


@app.command()
def hold(
    context: typer.Context, group: HeldGroup, reason: Reason, yes: Yes = False,
    service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Hold a message group: its present and future events are not sent until it is released.

    This does not change the order; the order state "held" is unrelated.
    """
    with relay_session(context, url, token, json) as session:
        session.confirm(f"Hold group {group}?", yes=yes)
        answer = session.api.post(f"/v1/outbox/groups/{segment(group)}/hold", {"reason": reason})
        held = f"held {plural(answer['events'], 'event')}" if answer["events"] else "held; no event is pending"
        seconds = f"{answer['settles_in_seconds']:.0f} s"
        _report(session, answer, f"{held}; events that a relay is sending may still be published for {seconds}")


@app.command()
def release(
    context: typer.Context, group: HeldGroup, reason: Reason, yes: Yes = False, wait: Wait = True,
    service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Release a held message group; its events are sent in order."""
    with relay_session(context, url, token, json) as session:
        path = f"/v1/outbox/groups/{segment(group)}"
        session.confirm(f"Release group {group}?", yes=yes)
        answer = session.api.post(f"{path}/release", {"reason": reason})
        if wait:
            answer = _wait_for_release(session, path, answer)
        again = f", then held again: {answer['held']}" if answer.get("held") else ""
        _report(session, answer, "release in progress" if answer["releasing"] else f"released{again}")


@app.command()
def discard(
    context: typer.Context,
    event: Annotated[UUID, typer.Argument(help="Id of the event.", show_default=False)],
    reason: Reason,
    keep_held: Annotated[bool, typer.Option("--keep-held", help="Keep the rest of its group held.")] = False,
    yes: Yes = False, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Remove a held event from the outbox permanently; it remains in the audit log, and its group is released."""
    with relay_session(context, url, token, json) as session:
        if not yes:
            found = session.api.get(f"/v1/outbox/events/{event}")
            session.output.note(
                f"{found['type']}, sequence {found['sequence']} of {found['subject']}: {found['state']}"
            )
        session.confirm(f"Discard event {event} permanently? No subscriber will receive it.", yes=yes)
        answer = session.api.post(f"/v1/outbox/events/{event}/discard", {"reason": reason, "keep_held": keep_held})
        rest = "the rest of its group is released" if answer["released"] else "the rest of its group stays held"
        _report(session, answer, f"discarded; {rest}")


@app.command()
def replay(
    context: typer.Context,
    event: Annotated[UUID | None, typer.Option(help="Only this event.", show_default=False)] = None,
    group: Annotated[str | None, typer.Option(help="Only events of this group.", show_default=False)] = None,
    type: Annotated[
        list[str] | None, typer.Option(help="Only events of this type; may be repeated.", show_default=False)
    ] = None,
    since: Since = None, until: Until = None,
    everything: Annotated[bool, typer.Option("--everything", help="All sent events that are still stored.")] = False,
    dry_run: DryRun = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-r", help="Reason for the replay; required without --dry-run.", show_default=False),
    ] = None,
    yes: Yes = False, wait: Wait = True, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Publish events again: those that were sent and match all criteria. Shows their number first."""
    criteria: dict[str, object] = {
        "event_id": str(event) if event else None,
        "subject": group,
        "type": ",".join(type) if type else None,
        "since": times.parse(since) if since else None,
        "until": times.parse(until) if until else None,
    }
    if everything == any(value is not None for value in criteria.values()):
        raise typer.BadParameter(
            "select events: give --event, --group, --type, --since or --until, or else --everything"
        )
    if reason is None and not dry_run:
        raise typer.BadParameter("give a --reason, or only count the events with --dry-run")
    with relay_session(context, url, token, json) as session:
        selection = {**criteria, "everything": everything}
        counted = session.api.post("/v1/outbox/replays", {**selection, "dry_run": True})
        if dry_run:
            _report(session, counted, f"{_matching(counted)} would be published again")
            return
        if not counted["events"] and not counted.get("at_least"):
            raise CommandFailed("no sent event matches, so nothing would be published again")
        session.output.note(f"{_matching(counted)} will be published again, before new events of their groups")
        session.confirm("Continue?", yes=yes)
        started = session.api.post("/v1/outbox/replays", {**selection, "dry_run": False, "reason": reason})
        path = f"/v1/outbox/replays/{started['replay']}"
        state = _wait_for_replay(session, path) if wait else session.api.get(path)
        _report(session, state, f"replay {state['id']}: {_replay_state(state)}")


@app.command()
def cancel(
    context: typer.Context,
    replay: Annotated[int, typer.Argument(min=1, help="Number of the replay; see `status`.", show_default=False)],
    reason: Reason, yes: Yes = False, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Cancel a replay; events that it already queued are still published again."""
    with relay_session(context, url, token, json) as session:
        session.confirm(f"Cancel replay {replay}?", yes=yes)
        answer = session.api.post(f"/v1/outbox/replays/{replay}/cancel", {"reason": reason})
        queued = f"; {answer['replayed']:,} queued events are still published again" if answer["replayed"] else ""
        _report(session, answer, f"replay {replay}: cancelled{queued}")


@app.command()
def pause(
    context: typer.Context, reason: Reason, yes: Yes = False,
    service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Pause all groups and all relays of the outbox."""
    with relay_session(context, url, token, json) as session:
        session.confirm("Pause the whole outbox?", yes=yes)
        answer = session.api.post("/v1/outbox/pause", {"reason": reason})
        _report(session, answer, "paused; events that relays are sending are still published")


@app.command()
def resume(
    context: typer.Context, reason: Reason, yes: Yes = False,
    service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Resume a paused outbox."""
    with relay_session(context, url, token, json) as session:
        session.confirm("Resume the outbox?", yes=yes)
        _report(session, session.api.post("/v1/outbox/resume", {"reason": reason}), "resumed")


@app.command("accept-broker")
def accept_broker(
    context: typer.Context, reason: Reason, yes: Yes = False,
    service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Accept a recreated broker without publishing events again."""
    with relay_session(context, url, token, json) as session:
        session.confirm("Accept the recreated broker without publishing events again?", yes=yes)
        _report(session, session.api.post("/v1/outbox/broker/accept", {"reason": reason}), "accepted")


def _report(session: Session, answer: dict[str, Any], text: str) -> None:
    if session.output.as_json:
        session.output.json(answer)
    else:
        session.output.line(text)
        session.output.note(f"relay: {session.label}")


def _wait_for_release(session: Session, path: str, answer: dict[str, Any]) -> dict[str, Any]:
    with session.output.progress("releasing"):
        while True:
            try:
                held = session.api.get(path, {"limit": 1})["held"]
            except NotFound:  # every event of the group is published
                held = None
            if held is None or not held["releasing"]:
                return {**answer, "releasing": False, "held": held["reason"] if held else None}
            _pause_between_polls(session)


def _matching(counted: dict[str, Any]) -> str:
    """The number of matching events: "3 events", or "200,000 events or more"."""
    return f"{plural(counted['events'], 'event')}{' or more' if counted.get('at_least') else ''}"


def _wait_for_replay(session: Session, path: str) -> dict[str, Any]:
    with session.output.progress("replaying") as progress:
        while not (state := session.api.get(path))["finished_at"]:
            progress.update(progress.task_ids[0], completed=state["progress"])
            _pause_between_polls(session)
    return state


def _replay_state(state: dict[str, Any]) -> str:
    events = plural(state["replayed"], "event")
    if state["cancelled_at"]:
        return f"cancelled by {state['cancelled_by']} after {events}"
    return f"{events} queued for publishing" if state["finished_at"] else "requested"


def _pause_between_polls(session: Session) -> None:
    """Raises CommandFailed when no relay is alive, since only a relay applies the change."""
    if not session.api.get("/v1/outbox")["relays"]:
        raise CommandFailed("no relay of this outbox is alive; the change is applied when one starts")
    time.sleep(POLL_SECONDS)
