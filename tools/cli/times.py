"""Parses times given on the command line: ISO 8601, or an age such as 90m."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse(text: str, now: datetime | None = None) -> str:
    """The time in ISO 8601 with a time zone; UTC is assumed without one. Raises typer.BadParameter."""
    if found := re.fullmatch(r"([0-9]{1,5})([smhd])", text):
        age = timedelta(**{UNITS[found[2]]: int(found[1])})
        return ((now or datetime.now(UTC)) - age).isoformat()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time; examples: 2026-01-31T12:00:00Z, 2026-01-31, 90m, 2h, 7d"
        ) from None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).isoformat()
