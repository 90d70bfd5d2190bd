"""`event-trio outbox`: the commands that look."""

import re
from typing import Annotated, Any
from uuid import UUID

import typer

from tools.cli.client import segment
from tools.cli.errors import NotFound
from tools.cli.outbox_views import (
    show_audit,
    show_event,
    show_group,
    show_held,
    show_lanes,
    show_status,
    verdict,
)
from tools.cli.session import RELAY_URL, AsJson, Limit, Service, Session, Token, Url, session

app = typer.Typer(help="One service's outbox, through its relay.", no_args_is_help=True)

# What the broker takes as the name of a group: printable ASCII without a space.
GROUP = re.compile(r"[\x21-\x7e]{1,128}")


@app.command()
def status(
    context: typer.Context, service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False
) -> None:
    """Say how much waits and since when, what is held, whether all is paused, and what that means."""
    with session(context, url, token, json) as found:
        state = found.api.get("/v1/outbox")
        meaning = verdict(state, found.api.readiness())
        if json:
            found.output.json({**state, "asked": found.whom, "verdict": meaning})
        else:
            show_status(found.output, found.whom, state, meaning)


@app.command()
def lanes(
    context: typer.Context, service: Service = None, url: Url = RELAY_URL, token: Token = None, json: AsJson = False
) -> None:
    """List the relays, how they are, and the lanes that each has."""
    with session(context, url, token, json) as found:
        answer = found.api.get("/v1/outbox/lanes")
        if json:
            found.output.json(answer)
        else:
            show_lanes(found.output, found.whom, answer)


@app.command()
def held(
    context: typer.Context, limit: Limit = 50, service: Service = None, url: Url = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """List the message groups that wait for a person, and why (not orders that are held)."""
    with session(context, url, token, json) as found:
        page = found.api.list("/v1/outbox/held-groups", {}, limit=limit)
        if json:
            found.output.json(page)
            return
        show_held(found.output, found.whom, page["items"])
        _note_more(found, page)


@app.command()
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="An event's id, or a group (the aggregate's id).", show_default=False)],
    limit: Limit = 20,
    service: Service = None,
    url: Url = RELAY_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Show the life of one event, or what waits of one group."""
    if not GROUP.fullmatch(id):
        raise typer.BadParameter(
            f"{id!r} is neither an event's id (a UUID) nor a group (1 to 128 ASCII characters without a space)"
        )
    with session(context, url, token, json) as found:
        event = _event(found, id)
        group = _group(found, id, min(limit, 100)) if event is None else None
        if json:
            found.output.json(event or group)
        elif event is not None:
            show_event(found.output, event)
        elif group is not None:
            show_group(found.output, group)


@app.command()
def audit(
    context: typer.Context,
    group: Annotated[str | None, typer.Option(help="Only what concerns this group.", show_default=False)] = None,
    event: Annotated[UUID | None, typer.Option(help="Only what concerns this event.", show_default=False)] = None,
    limit: Limit = 20,
    service: Service = None,
    url: Url = RELAY_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """List who changed what, and why, newest first."""
    with session(context, url, token, json) as found:
        page = found.api.list("/v1/outbox/audit", {"subject": group, "event_id": event}, limit=limit)
        if json:
            found.output.json(page)
            return
        if page["items"]:
            found.output.line(f"asked: {found.whom}")
            show_audit(found.output, page["items"])
        else:
            found.output.note(f"nothing was changed at {found.whom}")
        _note_more(found, page)


def _event(found: Session, id: str) -> dict[str, Any] | None:
    """The event of that id; None when it can only be a group, whose name may look like an event's id."""
    try:
        event_id = UUID(id)
        return found.api.get(f"/v1/outbox/events/{event_id}")
    except (ValueError, NotFound):
        return None


def _group(found: Session, id: str, limit: int) -> dict[str, Any]:
    try:
        return found.api.get(f"/v1/outbox/groups/{segment(id)}", {"limit": limit})
    except NotFound:
        raise NotFound(
            f"{id} is unknown at {found.whom}, as an event and as a group: it is another outbox's (--service), it was "
            "pruned after its retention, or it never was"
        ) from None


def _note_more(found: Session, page: dict[str, Any]) -> None:
    if page["next_cursor"] is not None:
        found.output.note("there are more: --limit shows them")
