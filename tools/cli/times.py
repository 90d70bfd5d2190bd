"""Times as a person gives them: ISO 8601, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse(text: str, now: datetime | None = None) -> str:
    """A time for the API, with its zone; one that has none is in UTC. Raises typer.BadParameter for what is none."""
    if found := re.fullmatch(r"([0-9]{1,5})([smhd])", text):
        ago = timedelta(**{UNITS[found[2]]: int(found[1])})
        return ((now or datetime.now(UTC)) - ago).isoformat()
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: 2026-01-31T12:00:00Z, 2026-01-31, 90m, 2h or 7d") from None
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).isoformat()
