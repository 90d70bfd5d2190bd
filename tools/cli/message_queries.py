"""Lists and single messages of all services that are asked, each with the name of the service that it is from."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from tools.cli.client import Answer, segment
from tools.cli.errors import NotFound
from tools.cli.output import many
from tools.cli.session import Session
from tools.cli.session_group import SessionGroup


def list_items(
    asked: SessionGroup, path: str, criteria: Mapping[str, object], limit: int, nothing: str
) -> list[Answer]:
    """The items of a list of each service, with its name; says whom it asked when there are none."""
    pages = asked.each(lambda found: found.api.list(path, criteria, limit=limit))
    items = [{**item, "service": found.api.name or found.whom} for found, page in pages for item in page["items"]]
    cut = [page["next_cursor"] for _, page in pages if page["next_cursor"]]
    if asked.output.as_json:
        whom = [found.whom for found, _ in pages]
        asked.output.json({"items": items, "next_cursor": cut[0] if cut else None, "asked": whom})
        return items
    empty = [found.whom for found, page in pages if not page["items"]]
    if empty:
        asked.output.note(f"{nothing} at {', '.join(empty)}")
    for found, page in pages:
        if page["items"]:
            asked.output.note(f"{many(len(page['items']), 'row')} of {found.whom}")
    if cut:
        asked.output.note(f"there are more than {limit}; --limit shows more")
    return items


def find_messages(asked: SessionGroup, path: str, event_id: str, gone: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """That message of each service that has it, with whom it is from; prints it when JSON is asked for.

    Raises NotFound with `gone`, in which `{whom}` stands for those that answered.
    """

    def read(found: Session) -> Answer | None:
        try:
            return found.api.get(f"{path}/{segment(event_id)}")
        except NotFound:
            return None

    answers = asked.each(read)
    if not answers:
        raise typer.Exit(1)
    messages = [(found.whom, message) for found, message in answers if message is not None]
    if not messages:
        raise NotFound(gone.replace("{whom}", ", ".join(found.whom for found, _ in answers)))
    for whom, message in messages:
        if asked.output.as_json:
            asked.output.json(message)
        else:
            yield whom, message
