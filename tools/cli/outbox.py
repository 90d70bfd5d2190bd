"""`event-trio outbox`: the commands that look."""

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

import typer

from tools.cli.client import segment
from tools.cli.errors import NotFound
from tools.cli.screen import Screen, count, duration, moment
from tools.cli.session import RELAY_URL, AsJson, Limit, Session, Token, Url, session

app = typer.Typer(help="One service's outbox, through its relay.", no_args_is_help=True)


@app.command()
def status(context: typer.Context, url: Url = RELAY_URL, token: Token = None, json: AsJson = False) -> None:
    """Say how much waits and since when, what is held, whether all is paused."""
    with session(context, url, token, json) as found:
        state = found.api.get("/v1/outbox")
        if json:
            found.screen.json(state)
            return
        paused, replay = state["paused"], state["replay"]
        found.screen.facts(
            {
                "pending": count(state["pending"]),
                "oldest pending": duration(state["oldest_pending_seconds"]),
                "unconfirmed": count(state["unconfirmed"]),
                "held groups": count(state["held_groups"]),
                "relays": str(state["relays"]),
                "paused": f"by {paused['by']} since {moment(paused['at'])}: {paused['reason']}" if paused else "no",
                "replay": f"{replay['id']}, {replay['progress']:.0%}: {replay['reason']}" if replay else "none",
            }
        )


@app.command()
def lanes(context: typer.Context, url: Url = RELAY_URL, token: Token = None, json: AsJson = False) -> None:
    """List the relays and the lanes that each has."""
    with session(context, url, token, json) as found:
        answer = found.api.get("/v1/outbox/lanes")
        if json:
            found.screen.json(answer)
            return
        owned: dict[str, list[int]] = {}
        for lane in answer["lanes"]:
            owned.setdefault(lane["owner"] if lane["owner_alive"] else "nobody", []).append(lane["lane"])
        rows = [
            (relay["relay_id"], "yes" if relay["alive"] else "no", moment(relay["started_at"]),
             _ranges(owned.pop(relay["relay_id"], [])))
            for relay in answer["relays"]
        ]  # fmt: skip
        rows += [("nobody", "", "", _ranges(free)) for free in owned.values()]
        found.screen.table(("relay", "alive", "started", "lanes"), rows)


@app.command()
def held(
    context: typer.Context, limit: Limit = 50, url: Url = RELAY_URL, token: Token = None, json: AsJson = False
) -> None:
    """List the message groups that wait for a person, and why (not orders that are held)."""
    with session(context, url, token, json) as found:
        page = found.api.list("/v1/outbox/held-groups", {}, limit=limit)
        if json:
            found.screen.json(page)
            return
        rows = [
            (group["subject"], group["cause"] or group["head"] or "", str(group["head_sequence"] or ""),
             count(group["behind"]), moment(group["since"]),
             "being released" if group["releasing"] else group["reason"])
            for group in page["items"]
        ]  # fmt: skip
        if rows:
            found.screen.table(("group", "event", "sequence", "behind", "since", "reason"), rows)
        else:
            found.screen.note("no message group is held")
        _note_more(found, page)


@app.command()
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="An event's id, or a group (the aggregate's id).", show_default=False)],
    limit: Limit = 20,
    url: Url = RELAY_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """Show the life of one event, or what waits of one group."""
    with session(context, url, token, json) as found:
        event = _event(found, id)
        group = found.api.get(f"/v1/outbox/groups/{segment(id)}", {"limit": min(limit, 100)}) if event is None else None
        if json:
            found.screen.json(event or group)
        elif event is not None:
            _show_event(found.screen, event)
        elif group is not None:
            _show_group(found.screen, group)


@app.command()
def audit(
    context: typer.Context,
    group: Annotated[str | None, typer.Option(help="Only what concerns this group.", show_default=False)] = None,
    event: Annotated[UUID | None, typer.Option(help="Only what concerns this event.", show_default=False)] = None,
    limit: Limit = 20,
    url: Url = RELAY_URL,
    token: Token = None,
    json: AsJson = False,
) -> None:
    """List who changed what, and why, newest first."""
    with session(context, url, token, json) as found:
        page = found.api.list("/v1/outbox/audit", {"subject": group, "event_id": event}, limit=limit)
        if json:
            found.screen.json(page)
            return
        _show_audit(found.screen, page["items"])
        _note_more(found, page)


def _event(found: Session, id: str) -> dict[str, Any] | None:
    """The event of that id; None when it can only be a group, whose name may look like an event's id."""
    try:
        event_id = UUID(id)
        return found.api.get(f"/v1/outbox/events/{event_id}")
    except (ValueError, NotFound):
        return None


def _show_event(screen: Screen, event: dict[str, Any]) -> None:
    screen.facts(
        {
            "event": event["event_id"],
            "type": event["type"],
            "state": event["state"],
            "group": event["subject"],
            "sequence": str(event["sequence"]),
            "source": event["source"],
            "lane": f"{event['lane']}, of relay {event['owner']}" if event["owner"] else str(event["lane"]),
            "correlation id": event["correlation_id"] or "",
            "caused by": event["causation_id"] or "",
            "size": f"{event['size']:,} bytes",
            "recorded": moment(event["recorded_at"]),
            "sent": moment(event["first_sent_at"]),
            "published": moment(event["first_published_at"]),
            "last sent": moment(event["sent_at"]) if event["republished"] else "",
            "last published": moment(event["published_at"]) if event["republished"] else "",
            "held": moment(event["held_at"]),
            "held because": event["held_reason"] or "",
            "discarded": moment(event["discarded_at"]),
            "attempts": str(event["attempts"]),
            "sent again": str(event["republished"] or ""),
            "last error": event["last_error"] or "",
            "broker's id": event["broker_message_id"] or "",
        }
    )
    if event["audit"]:
        screen.line()
        _show_audit(screen, event["audit"])


def _show_group(screen: Screen, group: dict[str, Any]) -> None:
    state = group["held"]
    screen.facts(
        {
            "group": group["subject"],
            "lane": f"{group['lane']}, of relay {group['owner']}" if group["owner"] else str(group["lane"]),
            "held": moment(state["since"]) if state else "no",
            "held because": state["reason"] if state else "",
            "behind the first": count(state["behind"]) if state else "",
            "release": "under way" if state and state["releasing"] else "",
        }
    )
    screen.line()
    rows = [
        (str(event["sequence"]), event["event_id"], event["type"], event["state"], moment(event["recorded_at"]),
         str(event["attempts"]), event["last_error"] or "")
        for event in group["events"]
    ]  # fmt: skip
    screen.table(("sequence", "event", "type", "state", "recorded", "attempts", "last error"), rows)


def _show_audit(screen: Screen, entries: list[dict[str, Any]]) -> None:
    if not entries:
        screen.note("nothing was changed")
        return
    rows = [
        (moment(entry["at"]), entry["actor"], entry["action"], entry["event_id"] or entry["subject"] or "",
         entry["reason"])
        for entry in entries
    ]  # fmt: skip
    screen.table(("when", "who", "did", "to", "because"), rows)


def _note_more(found: Session, page: dict[str, Any]) -> None:
    if page["next_cursor"] is not None:
        found.screen.note("there are more: --limit shows them")


def _ranges(lanes: list[int]) -> str:
    """Lanes as text: "0-3, 7 (5)"."""
    if not lanes:
        return "none"
    runs = Counter(lane - place for place, lane in enumerate(sorted(lanes)))
    texts, place = [], 0
    for offset, length in sorted(runs.items()):
        first = offset + place
        texts.append(str(first) if length == 1 else f"{first}-{first + length - 1}")
        place += length
    return f"{', '.join(texts)} ({len(lanes)})"
