"""`event-trio events unknown`: processed events that no publisher has, as after a database was restored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import typer

from tools.cli import times
from tools.cli.errors import CommandFailed
from tools.cli.formats import plural
from tools.cli.options import AsJson, Since, Token
from tools.cli.output import Output
from tools.cli.processes import Process, answering, failures_of, open_processes, together
from tools.cli.session import reporting_errors

LIMIT = 20_000
"""At most so many events of each service are compared."""
MARGIN = timedelta(hours=1)
"""Events recorded this long before are read together; older ones that were processed late are asked for one by one."""

Item = Mapping[str, Any]


def unknown(since: Since = None, token: Token = None, json: AsJson = False) -> None:
    """List events that a service processed since a time and that their publisher does not have.

    A publisher whose database was restored to an earlier time has lost the events that it recorded afterwards, and
    subscribers may have processed them. The exit status is 1 if there are such events, or if a service did not answer.
    With --json, `subjects` has the highest sequence that is known of each subject.
    """
    if since is None:
        raise typer.BadParameter("give --since, a time before the one to which the database was restored")
    begin = datetime.fromisoformat(times.parse(since))
    with reporting_errors(json) as output, open_processes(token, output.note) as processes:
        services = answering(processes, relays=False)
        if not services:
            raise CommandFailed("no service answers")
        found = _find(services, begin, output)
        failures = failures_of(processes)
        if json:
            output.json({"events": found, "subjects": _subjects(found), "complete": not failures})
        elif found:
            output.table(
                ["subject", "sequence", "type", "event", "processed by", "at", "outcome"],
                [[str(event[name] or "") for name in COLUMNS] for event in found],
            )
        for failure in failures:
            output.error(failure)
        if not json:
            output.note(f"{plural(len(found), 'event')} without a publisher")
        if found or failures:
            raise typer.Exit(1)


COLUMNS = ("subject", "sequence", "type", "event_id", "processed_by", "processed_at", "outcome")


def _find(services: Sequence[Process], begin: datetime, output: Output) -> list[dict[str, Any]]:
    processed = together(services, lambda service: list(_processed(service, begin, output)))
    recorded = together(services, lambda service: service.list(
        "/v1/recorded-events", {"since": (begin - MARGIN).isoformat()}, limit=LIMIT
    ))  # fmt: skip
    known = {str(item["event_id"]) for items in recorded for item in items}
    candidates = [
        {"processed_by": service.name, **{name: item[name] for name in (*COLUMNS[:4], "source", *COLUMNS[5:])}}
        for service, items in zip(services, processed, strict=True)
        for item in items
        if item["source"] is not None and item["event_id"] not in known
    ]
    is_known = together(candidates, lambda event: _is_recorded(services, event["event_id"]))
    found = [event for event, found in zip(candidates, is_known, strict=True) if not found]
    return sorted(found, key=lambda event: (str(event["subject"]), event["sequence"] or 0))


def _processed(service: Process, begin: datetime, output: Output) -> Iterator[Item]:
    """The messages that a service processed since then."""
    cursor, count = None, 0
    while page := service.get("/v1/processed-messages", {"limit": 100, "cursor": cursor}):
        for item in page["items"]:
            if datetime.fromisoformat(item["processed_at"]) < begin:
                return
            yield item
        count, cursor = count + len(page["items"]), page["next_cursor"]
        if cursor is None:
            return
        if count >= LIMIT:
            output.note(f"{service.name}: only the newest {LIMIT:,} messages were compared; give a later --since")
            return


def _is_recorded(services: Iterable[Process], event_id: str) -> bool:
    """Whether the outbox of a service has the event; one that was discarded or pruned is unknown."""
    found = (service.get(f"/v1/events/{event_id}") for service in services)
    return any(event is not None and event["recorded"] is not None for event in found)


def _subjects(events: Iterable[Item]) -> list[dict[str, Any]]:
    highest: dict[tuple[str, str], int] = {}
    for event in events:
        if event["subject"] is not None and event["sequence"] is not None:
            key = event["source"], event["subject"]
            highest[key] = max(highest.get(key, 0), event["sequence"])
    return [
        {"source": source, "subject": subject, "sequence": sequence} for (source, subject), sequence in highest.items()
    ]
