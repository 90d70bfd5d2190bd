"""Times that people enter: those of a form (`datetime-local`) are of the reader's zone."""

from __future__ import annotations

from datetime import datetime, tzinfo

from ..api_clients.answer_shapes import YEARS
from ..web.errors import invalid


def time_of(text: str, zone: tzinfo) -> str:
    """A time as ISO 8601 with its zone; empty if none was entered. Raises PageError for what is no time."""
    given = text.strip()
    if not given:
        return ""
    try:
        # A plus sign in a query stands for a space.
        found = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
    except ValueError:
        raise invalid() from None
    if found.year not in YEARS:
        raise invalid()
    return (found if found.tzinfo else found.replace(tzinfo=zone)).isoformat()
