"""Formats numbers, times and durations for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def printable(text: str) -> str:
    """The text with control characters replaced, so that it cannot control the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def plural(number: int, noun: str) -> str:
    """A number with its noun: "1 event", "2,000 events"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bounded_count(count: Mapping[str, Any]) -> str:
    """A count that stopped at a limit is followed by "or more"."""
    return f"{count['value']:,}{' or more' if count['at_least'] else ''}"


def bounded_plural(count: Mapping[str, Any], noun: str) -> str:
    """A count that may have stopped at a limit, with its noun: "100,000 or more events"."""
    return f"{bounded_count(count)} {noun}{'' if count['value'] == 1 and not count['at_least'] else 's'}"


def timestamp(text: str | None) -> str:
    """A time in UTC with its age; empty for None."""
    if text is None:
        return ""
    then = datetime.fromisoformat(text).astimezone(UTC)
    return f"{then:%Y-%m-%d %H:%M:%S}Z ({duration((datetime.now(UTC) - then).total_seconds())} ago)"


def duration(seconds: float | None) -> str:
    """A duration in the largest unit of which it has at least two; empty for None."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
