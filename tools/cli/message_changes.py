"""Changes deferred messages and dead letters, shows which ones, and follows them on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import typer

from tools.cli.batch_change import BatchChange
from tools.cli.client import Answer
from tools.cli.errors import CommandFailed, NotFound
from tools.cli.formats import plural
from tools.cli.output import Output
from tools.cli.session import Session, ensure_confirmed
from tools.cli.session_group import SessionGroup

POLL_SECONDS = 0.5
IDS_PER_REQUEST = 100
"""The most event ids that one request for outcomes may name (a limit of the service)."""
UNFINISHED = {"dead again", "waiting", "unknown"}


@dataclass(frozen=True)
class ChangeRequest:
    """A change and the messages that it selects; `follow_seconds` is how long to wait for their outcomes."""

    verb: str
    body: Mapping[str, object]
    at: str = "/v1/dead-letters"
    noun: str = "dead letter"
    missing: str = "is not a dead letter at {services}: it is unknown, processed or discarded"
    follow_seconds: float | None = None

    def batch(self, session: Session) -> BatchChange:
        """The change at one service."""
        return BatchChange(session, self.verb, self.body, at=self.at)


def change_all(group: SessionGroup, change: ChangeRequest, *, dry_run: bool, yes: bool) -> None:
    """Apply the change at every service that has matching messages.

    Raises CommandFailed, saying how many were changed, when it stops early.
    """
    previews = group.each(lambda session: change.batch(session).preview())
    if not previews:
        raise typer.Exit(1)
    services = ", ".join(session.label for session, _ in previews)
    matching = [(session, items) for session, items in previews if items]
    if change.body["event_id"] is not None and not matching:
        raise NotFound(f"{change.body['event_id']} {change.missing}".replace("{services}", services))
    if dry_run:
        _show(group.output, f"would {change.verb}", _with_services(matching), change.noun, dry_run=True, at=services)
        return
    _ensure_wanted(group, change, matching, yes=yes)
    changed = _apply(group, change, matching)
    items = _with_services(changed)
    if change.follow_seconds:
        items = _with_outcomes(items, changed, change.follow_seconds)
    _show(group.output, change.verb, items, change.noun, at=services)
    if change.follow_seconds:
        _summarize(group.output, items)


def change_at_one(session: Session, verb: str, body: Mapping[str, object], *, dry_run: bool, yes: bool) -> None:
    """Apply a change to dead letters at one service."""
    group = SessionGroup(session.output, [session], [], explicit=True)
    change_all(group, ChangeRequest(verb, {"event_id": None, **body}), dry_run=dry_run, yes=yes)


def _ensure_wanted(
    group: SessionGroup, change: ChangeRequest, matching: Sequence[tuple[Session, Sequence[Answer]]], *, yes: bool
) -> None:
    """Raises CommandFailed unless the change is confirmed and its services are selected."""
    targets = ", ".join(f"{plural(len(items), change.noun)} at {session.label}" for session, items in matching)
    if len(matching) > 1 and yes and not group.explicit:
        raise CommandFailed(f"{targets}: select with --service NAME, or --service all; nothing was changed")
    if matching and not yes:
        ensure_confirmed(group.output, f"{change.verb} {targets}?")


def _apply(
    group: SessionGroup, change: ChangeRequest, matching: Sequence[tuple[Session, Sequence[Answer]]]
) -> list[tuple[Session, list[Answer]]]:
    """Apply the change at one service after the other; shows what was changed when one fails."""
    changed: list[tuple[Session, list[Answer]]] = []
    for session, items in matching:
        batch = change.batch(session)
        changed.append((session, batch.changed))
        try:
            _apply_batch(batch, len(items))
        except CommandFailed:
            _show(group.output, change.verb, _with_services(changed), change.noun)
            raise
    return changed


def _apply_batch(batch: BatchChange, total: int) -> None:
    try:
        batch.apply(total)
    except KeyboardInterrupt:
        raise CommandFailed(batch.describe_progress(total)) from None
    except CommandFailed as failure:
        if not batch.changed:
            raise
        raise CommandFailed(f"{failure}; {batch.describe_progress(total)}") from None


def _with_services(items_by_session: Sequence[tuple[Session, Sequence[Answer]]]) -> list[Answer]:
    return [{**item, "service": session.service} for session, items in items_by_session for item in items]


def _with_outcomes(
    items: Sequence[Answer], changed: Sequence[tuple[Session, Sequence[Answer]]], seconds: float
) -> list[Answer]:
    outcomes: list[str] = []
    for session, changed_here in changed:
        found = _follow(session, [item["event_id"] for item in changed_here], seconds)
        outcomes += [_outcome(found.get(item["event_id"])) for item in changed_here]
    return [{**item, "outcome": outcome} for item, outcome in zip(items, outcomes, strict=True)]


def _follow(session: Session, event_ids: Sequence[str], seconds: float) -> dict[str, Answer]:
    """The outcome of each event, once all are processed or dead again or the time is over."""
    pending = list(event_ids)
    found: dict[str, Answer] = {}
    deadline = monotonic() + seconds
    with session.output.progress("waiting for the handlers") as progress:
        while pending:
            for start in range(0, len(pending), IDS_PER_REQUEST):
                ids = pending[start : start + IDS_PER_REQUEST]
                for item in session.api.get("/v1/message-states", {"event_id": ids})["items"]:
                    found[item["event_id"]] = item
            pending = [id for id in pending if found.get(id, {}).get("state", "waiting") == "waiting"]
            progress.update(progress.task_ids[0], completed=1 - len(pending) / len(event_ids))
            if monotonic() >= deadline:
                break
            if pending:
                sleep(POLL_SECONDS)
    return found


def _outcome(found: Answer | None) -> str:
    if found is None:
        return "unknown"
    state = "dead again" if found["state"] == "dead" else found["state"].replace("_", " ")
    return f"{state}: {found['error']}" if found["error"] and state != "waiting" else state


def _summarize(output: Output, items: Sequence[Mapping[str, Any]]) -> None:
    """Print the number of events for each outcome. Raises typer.Exit unless all were completed."""
    counts = Counter(item["outcome"].partition(":")[0] for item in items)
    output.note(", ".join(f"{number:,} {outcome}" for outcome, number in counts.items()))
    if UNFINISHED & counts.keys():
        raise typer.Exit(1)


def _show(
    output: Output, verb: str, items: Sequence[Answer], noun: str, *, dry_run: bool = False, at: str = ""
) -> None:
    if output.as_json:
        output.json({"dry_run": dry_run, "items": items})
        return
    outcome = ("outcome",) if any("outcome" in item for item in items) else ()
    rows = [
        (item["event_id"], item["type"] or "", item["message_group"], item["service"],
         *(item[column] for column in outcome))
        for item in items
    ]  # fmt: skip
    if rows:
        output.table(("event", "type", "group", "service", *outcome), rows)
    output.note(f"{verb}: {plural(len(rows), noun)}{f' at {at}' if at and not rows else ''}")
