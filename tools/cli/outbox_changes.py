"""`event-trio outbox`: the commands that change something."""

import time
from typing import Annotated, Any
from uuid import UUID

import typer

from tools.cli import times
from tools.cli.client import segment
from tools.cli.errors import CommandFailed, NotFound
from tools.cli.output import many
from tools.cli.session import RELAY_URL, AsJson, Reason, Service, Session, Token, Url, Yes, session

app = typer.Typer()

LOOK_EVERY_SECONDS = 0.2

Group = Annotated[str, typer.Argument(help="The group: the aggregate's id.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until relays have done it.")]


@app.command()
def hold(
    context: typer.Context, group: Group, reason: Reason, yes: Yes = False,
    service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Hold a message group: nothing of it is sent until it is released, though nothing of it may wait yet.

    The order itself does not change: "held" as a state of an order is another thing.
    """
    with session(context, url, token, json) as found:
        found.confirm(f"Hold group {group}?", yes=yes)
        answer = found.api.post(f"/v1/outbox/groups/{segment(group)}/hold", {"reason": reason})
        held = f"held {many(answer['events'], 'event')}" if answer["events"] else "held; nothing of it waits yet"
        _done(found, answer, f"{held}; what a relay has in hand may still go for {answer['settles_in_seconds']:.0f} s")


@app.command()
def release(
    context: typer.Context, group: Group, reason: Reason, yes: Yes = False, wait: Wait = True,
    service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Let a held message group go, in the order of its events."""
    with session(context, url, token, json) as found:
        path = f"/v1/outbox/groups/{segment(group)}"
        found.confirm(f"Release group {group}?", yes=yes)
        answer = found.api.post(f"{path}/release", {"reason": reason})
        if wait:
            answer = _await_release(found, path, answer)
        again = f", and held again: {answer['held']}" if answer.get("held") else ""
        _done(found, answer, "being released" if answer["releasing"] else f"released{again}")


@app.command()
def discard(
    context: typer.Context,
    event: Annotated[UUID, typer.Argument(help="The event's id.", show_default=False)],
    reason: Reason,
    keep_held: Annotated[bool, typer.Option("--keep-held", help="Keep the rest of its group held.")] = False,
    yes: Yes = False, service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Take a held event out of the outbox for good; the audit keeps it, and the rest of its group goes on."""
    with session(context, url, token, json) as found:
        if not yes:
            life = found.api.get(f"/v1/outbox/events/{event}")
            found.output.note(f"{life['type']} number {life['sequence']} of {life['subject']}: {life['state']}")
        found.confirm(f"Discard event {event} for good? No subscriber will ever get it.", yes=yes)
        answer = found.api.post(f"/v1/outbox/events/{event}/discard", {"reason": reason, "keep_held": keep_held})
        _done(found, answer, f"discarded; the rest of its group {'goes on' if answer['released'] else 'stays held'}")


@app.command()
def replay(
    context: typer.Context,
    event: Annotated[UUID | None, typer.Option(help="This event.", show_default=False)] = None,
    group: Annotated[str | None, typer.Option(help="Events of this group.", show_default=False)] = None,
    type: Annotated[
        list[str] | None, typer.Option(help="Events of this type; may be given more than once.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Recorded then or later: ISO 8601, or 90m, 2h, 7d ago.", show_default=False)
    ] = None,
    until: Annotated[str | None, typer.Option(help="Recorded before then.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All that was sent and is still there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many events would go again.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why; needed unless it is a dry run.", show_default=False)
    ] = None,
    yes: Yes = False, wait: Wait = True, service: Service = None, url: Url = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Send again what was sent: events that fit everything that is given. Counts first."""
    criteria: dict[str, object] = {
        "event_id": str(event) if event else None,
        "subject": group,
        "type": ",".join(type) if type else None,
        "since": times.parse(since) if since else None,
        "until": times.parse(until) if until else None,
    }
    if everything == any(value is not None for value in criteria.values()):
        raise typer.BadParameter("say which events (--event, --group, --type, --since, --until), or --everything")
    if reason is None and not dry_run:
        raise typer.BadParameter("say why: --reason (or only count: --dry-run)")
    with session(context, url, token, json) as found:
        chosen = {**criteria, "everything": everything}
        counted = found.api.post("/v1/outbox/replays", {**chosen, "dry_run": True})
        if dry_run:
            _done(found, counted, f"{_events(counted)} would go again")
            return
        if not counted["events"] and not counted.get("at_least"):
            raise CommandFailed("no event that was sent fits, so nothing would go again")
        go = "goes" if counted["events"] == 1 else "go"
        found.output.note(f"{_events(counted)} {go} again, before anything new of their groups is sent")
        found.confirm("Go on?", yes=yes)
        asked = found.api.post("/v1/outbox/replays", {**chosen, "dry_run": False, "reason": reason})
        path = f"/v1/outbox/replays/{asked['replay']}"
        state = _await_replay(found, path) if wait else found.api.get(path)
        _done(found, state, f"replay {state['id']}: {_outcome(state)}")


@app.command()
def cancel(
    context: typer.Context,
    replay: Annotated[int, typer.Argument(min=1, help="The replay's number; `status` shows it.", show_default=False)],
    reason: Reason, yes: Yes = False, service: Service = None, url: Url = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Cancel a replay: nothing more goes again; what is on its way again goes all the same."""
    with session(context, url, token, json) as found:
        found.confirm(f"Cancel replay {replay}?", yes=yes)
        answer = found.api.post(f"/v1/outbox/replays/{replay}/cancel", {"reason": reason})
        gone = f"; {answer['replayed']:,} events are on their way again all the same" if answer["replayed"] else ""
        _done(found, answer, f"replay {replay}: cancelled{gone}")


@app.command()
def pause(
    context: typer.Context, reason: Reason, yes: Yes = False,
    service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Stop sending: all groups, all relays of this outbox."""
    with session(context, url, token, json) as found:
        found.confirm("Pause the whole outbox?", yes=yes)
        _done(
            found, found.api.post("/v1/outbox/pause", {"reason": reason}), "paused; what relays have in hand still goes"
        )


@app.command()
def resume(
    context: typer.Context, reason: Reason, yes: Yes = False,
    service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Send again."""
    with session(context, url, token, json) as found:
        found.confirm("Resume the outbox?", yes=yes)
        _done(found, found.api.post("/v1/outbox/resume", {"reason": reason}), "resumed")


@app.command("accept-broker")
def accept_broker(
    context: typer.Context, reason: Reason, yes: Yes = False,
    url: Url = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Say that nothing has to go again to a broker that is new."""
    with session(context, url, token, json) as found:
        found.confirm("Accept the new broker, and send nothing again?", yes=yes)
        _done(found, found.api.post("/v1/outbox/broker/accept", {"reason": reason}), "accepted")


def _done(found: Session, answer: dict[str, Any], text: str) -> None:
    if found.output.as_json:
        found.output.json(answer)
    else:
        found.output.line(text)
        found.output.note(f"asked: {found.whom}")


def _events(counted: dict[str, Any]) -> str:
    """How many, as text: "3 events", or "200,000 events or more"."""
    return f"{many(counted['events'], 'event')}{' or more' if counted.get('at_least') else ''}"


def _outcome(state: dict[str, Any]) -> str:
    if state["cancelled_at"]:
        return f"cancelled by {state['cancelled_by']} after {many(state['replayed'], 'event')}"
    are = "is on its" if state["replayed"] == 1 else "are on their"
    return f"{many(state['replayed'], 'event')} {are} way again" if state["finished_at"] else "asked for"


def _await_release(found: Session, path: str, answer: dict[str, Any]) -> dict[str, Any]:
    with found.output.progress("releasing"):
        while True:
            try:
                held = found.api.get(path, {"limit": 1})["held"]
            except NotFound:  # all of it is published already
                held = None
            if held is None or not held["releasing"]:
                return {**answer, "releasing": False, "held": held["reason"] if held else None}
            _look_again(found)


def _await_replay(found: Session, path: str) -> dict[str, Any]:
    with found.output.progress("replaying") as progress:
        while not (state := found.api.get(path))["finished_at"]:
            progress.update(progress.task_ids[0], completed=state["progress"])
            _look_again(found)
    return state


def _look_again(found: Session) -> None:
    if not found.api.get("/v1/outbox")["relays"]:
        raise CommandFailed("no relay of this outbox is alive; it will be done as soon as one is")
    time.sleep(LOOK_EVERY_SECONDS)
