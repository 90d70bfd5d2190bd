"""Draws events as trees for a person, and as nested objects for a program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from event_trio.catalog.journey import EventNode, Leg
from tools.cli.formats import printable

# What waits for a person or for something else to happen.
ATTENTION = {"dead letter", "held", "deferred", "not sent yet", "not confirmed yet"}


def draw(node: EventNode) -> Tree:
    """One event, its legs, and the events that it caused."""
    drawn = Tree(_heading(node), guide_style="dim")
    width = max((len(_label(leg)) for leg in node.legs), default=0)
    for leg in node.legs:
        drawn.add(_line(leg, width))
    for caused in node.caused:
        drawn.add(draw(caused))
    return drawn


def as_object(node: EventNode) -> dict[str, Any]:
    """The event as JSON."""
    record = node.record
    names = ("type", "source", "subject", "sequence", "correlation_id", "causation_id", "trace_id")
    return {
        "event_id": record.event_id,
        **{name: record.known(name) for name in names},
        "legs": [
            {
                "name": leg.name,
                "service": leg.where or None,
                "at": leg.at.isoformat() if leg.at else None,
                "since": leg.since or None,
                "milliseconds": leg.milliseconds,
                "detail": leg.detail or None,
            }
            for leg in node.legs
        ],
        "caused": [as_object(caused) for caused in node.caused],
    }


def clock(at: datetime | None) -> str:
    """The time of day in UTC, with milliseconds."""
    return f"{at.astimezone(UTC):%H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""


def milliseconds(value: float | None) -> str:
    """A duration with its sign: "+12.3 ms".

    A negative one means that the clocks of two databases differ, or that the broker delivered an event before the relay
    had its acknowledgement.
    """
    if value is None:
        return ""
    return f"{value:+,.1f} ms" if abs(value) < 10_000 else f"{value / 1000:+,.1f} s"


def _heading(node: EventNode) -> Text:
    record = node.record
    facts: Mapping[str, Any] = {
        "": record.event_id,
        "subject": record.known("subject"),
        "sequence": record.known("sequence"),
    }
    text = Text(printable(str(record.known("type") or "unknown event")), style="bold")
    for name, value in facts.items():
        if value is not None:
            text.append(f"  {name} {printable(str(value))}" if name else f"  {printable(str(value))}", style="not bold")
    return text


def _label(leg: Leg) -> str:
    return f"{leg.where}: {leg.name}" if leg.where else leg.name


def _line(leg: Leg, width: int) -> Text:
    since = f"after {leg.since}" if leg.since and leg.milliseconds is not None else ""
    label = printable(_label(leg))
    text = Text(f"{label:<{width}}  ", style="yellow" if leg.name in ATTENTION else "")
    text.append(f"{clock(leg.at):<12}  {milliseconds(leg.milliseconds):>11} {since}".rstrip(), style="default")
    if leg.detail:
        text.append(f"  {printable(leg.detail)}", style="dim")
    return text
