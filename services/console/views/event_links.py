"""Where an event of a journey leads: to its payload, and to what resolves it."""

from __future__ import annotations

from event_trio.catalog.journey import EventRecord

from .links import PageLinks


def event_links(record: EventRecord, subject: str, links: PageLinks) -> tuple[tuple[str, str], ...]:
    """The keys of the labels, and the addresses. What a person may not open is left out."""
    found: list[tuple[str, str | None]] = []
    if record.recorded is not None:
        if record.recorded["state"] == "held":
            found.append(("journey.open_group", links.group(f"{record.publisher}-relay", subject)))
        found.append(("journey.open_event", links.event(record.publisher, record.event_id)))
    for service, row in record.processed.items():
        if row.get("deferred"):
            found.append(("journey.resolve", links.message(service, record.event_id)))
    return tuple((label, address) for label, address in found if address is not None)
