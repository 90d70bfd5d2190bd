"""`event-trio outbox`: the commands that read."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

import typer

from tools.cli.client import segment
from tools.cli.errors import NotFound
from tools.cli.options import RELAY_URL, AsJson, Limit, RelayUrl, Service, Token
from tools.cli.outbox_views import find_problems, show_audit, show_event, show_group, show_held, show_lanes, show_status
from tools.cli.session import Session, relay_session

app = typer.Typer(help="The outbox of one service, accessed through its relay.", no_args_is_help=True)

# The message group ids that SNS accepts: printable ASCII without spaces.
GROUP = re.compile(r"[\x21-\x7e]{1,128}")


@app.command()
def status(
    context: typer.Context, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """Show the backlog and its age, held groups, pauses and replays, and the problems that follow from them."""
    with relay_session(context, url, token, json) as session:
        state = session.api.get("/v1/outbox")
        problems = find_problems(state, session.api.readiness())
        if json:
            session.output.json({**state, "queried": session.label, "problems": problems})
        else:
            show_status(session.output, session.label, state, problems)


@app.command()
def lanes(
    context: typer.Context, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None,
    json: AsJson = False,
) -> None:  # fmt: skip
    """List the relays, their health, and the lanes that each owns."""
    with relay_session(context, url, token, json) as session:
        answer = session.api.get("/v1/outbox/lanes")
        if json:
            session.output.json(answer)
        else:
            show_lanes(session.output, session.label, answer)


@app.command()
def held(
    context: typer.Context, limit: Limit = 50, service: Service = None, url: RelayUrl = RELAY_URL,
    token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List the held message groups, and why they are held (not orders in the state "held")."""
    with relay_session(context, url, token, json) as session:
        page = session.api.list("/v1/outbox/held-groups", {}, limit=limit)
        if json:
            session.output.json(page)
            return
        show_held(session.output, session.label, page["items"])
        _note_more(session, page)


@app.command()
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="Id of an event, or a message group.", show_default=False)],
    limit: Limit = 20, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """Show the history of an event, or the unpublished events of a message group."""
    if not GROUP.fullmatch(id):
        raise typer.BadParameter(
            f"{id!r} is neither an event id (a UUID) nor a message group (1 to 128 ASCII characters without spaces)"
        )
    with relay_session(context, url, token, json) as session:
        event = _event(session, id)
        group = _group(session, id, min(limit, 100)) if event is None else None
        if json:
            session.output.json(event or group)
        elif event is not None:
            show_event(session.output, event)
        elif group is not None:
            show_group(session.output, group)


@app.command()
def audit(
    context: typer.Context,
    group: Annotated[str | None, typer.Option(help="Only changes of this group.", show_default=False)] = None,
    event: Annotated[UUID | None, typer.Option(help="Only changes of this event.", show_default=False)] = None,
    limit: Limit = 20, service: Service = None, url: RelayUrl = RELAY_URL, token: Token = None, json: AsJson = False,
) -> None:  # fmt: skip
    """List the changes that operators made to the outbox, the newest first."""
    with relay_session(context, url, token, json) as session:
        page = session.api.list("/v1/outbox/audit", {"subject": group, "event_id": event}, limit=limit)
        if json:
            session.output.json(page)
            return
        if page["items"]:
            session.output.line(f"relay: {session.label}")
            show_audit(session.output, page["items"])
        else:
            session.output.note(f"{session.label}: no changes")
        _note_more(session, page)


def _event(session: Session, id: str) -> dict[str, Any] | None:
    """The event with that id; None when there is none, since a group may be named by a UUID too."""
    try:
        return session.api.get(f"/v1/outbox/events/{UUID(id)}")
    except (ValueError, NotFound):
        return None


def _group(session: Session, id: str, limit: int) -> dict[str, Any]:
    try:
        return session.api.get(f"/v1/outbox/groups/{segment(id)}", {"limit": limit})
    except NotFound:
        raise NotFound(
            f"{session.label} knows no event and no message group {id}: it may be in another outbox (--service), or "
            "have been pruned after its retention"
        ) from None


def _note_more(session: Session, page: dict[str, Any]) -> None:
    if page["next_cursor"] is not None:
        session.output.note("there are more rows; --limit shows more")
