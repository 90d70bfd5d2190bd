"""Reads messages from all selected services, and adds the name of its service to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from tools.cli.client import Answer, segment
from tools.cli.errors import NotFound
from tools.cli.formats import plural, timestamp
from tools.cli.session import Session
from tools.cli.session_group import SessionGroup


def list_items(
    group: SessionGroup, path: str, criteria: Mapping[str, object], limit: int, *, empty: str
) -> list[Answer]:
    """The items of a list of each service, printed if JSON is requested; `empty` is the remark about an empty list."""
    pages = group.each(lambda session: session.api.list(path, criteria, limit=limit))
    items = [{**item, "service": session.service} for session, page in pages for item in page["items"]]
    cursors = [page["next_cursor"] for _, page in pages if page["next_cursor"]]
    if group.output.as_json:
        queried = [session.label for session, _ in pages]
        group.output.json({"items": items, "next_cursor": cursors[0] if cursors else None, "queried": queried})
        return items
    for session, page in pages:
        count = len(page["items"])
        group.output.note(f"{session.label}: {plural(count, 'row') if count else empty}")
    if cursors:
        group.output.note(f"there are more than {limit} rows; --limit shows more")
    return items


def find_messages(
    group: SessionGroup, path: str, event_id: str, *, missing: str, reason: str | None = None
) -> Iterator[tuple[Session, Mapping[str, Any]]]:
    """The message with that event id at each service that has it; prints it instead if JSON is requested.

    With a reason, which is recorded, personal data is not masked.

    Raises NotFound with `missing`, in which `{services}` stands for the services that answered.
    """

    def read(session: Session) -> Answer | None:
        address = f"{path}/{segment(event_id)}"
        try:
            if reason is not None:
                session.api.post(f"{address}/reveals", {"reason": reason})
            return session.api.get(address, {"unmasked": "true"} if reason is not None else None)
        except NotFound:
            return None

    answers = group.each(read)
    if not answers:
        raise typer.Exit(1)
    messages = [(session, message) for session, message in answers if message is not None]
    if not messages:
        raise NotFound(missing.replace("{services}", ", ".join(session.label for session, _ in answers)))
    for session, message in messages:
        if group.output.as_json:
            group.output.json(message)
        else:
            yield session, message


def show_message(session: Session, message: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Print these fields of a message that have a value, and the changes that operators made to it."""
    facts = {name.replace("_", " "): str(message[name]) for name in fields if message[name] is not None}
    session.output.facts({"service": session.label, **facts, "failed attempts": str(message["attempts"])})
    for action in message["actions"]:
        session.output.line(
            f"{action['action']} by {action['actor']} at {timestamp(action['done_at'])}: {action['reason']}"
        )
