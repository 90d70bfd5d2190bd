"""Times in the reader's zone, and durations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

LONGEST_ZONE = 64


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a page shows it: `text` in the reader's zone, `utc` on hover, `iso` for programs."""

    text: str
    utc: str
    iso: str


def zone(name: str | None) -> tuple[str, tzinfo]:
    """The zone of that name, and UTC if it is unknown."""
    if name and len(name) <= LONGEST_ZONE:
        try:
            return name, ZoneInfo(name)
        except (OSError, ValueError, LookupError):
            pass
    return "UTC", UTC


def parse(value: object) -> datetime | None:
    """A time of an answer; None if it is missing or no time."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def moment(value: object, into: tzinfo, *, milliseconds: bool = False) -> Moment | None:
    """A time in a zone; None if it is missing."""
    at = parse(value)
    if at is None:
        return None
    return Moment(_text(at.astimezone(into), milliseconds), f"{_text(at.astimezone(UTC), True)} UTC", at.isoformat())


def milliseconds_between(start: object, end: object) -> float | None:
    """The milliseconds from one time to another; None if one is missing."""
    first, last = parse(start), parse(end)
    return round((last - first).total_seconds() * 1000, 1) if first and last else None


def duration(seconds: float | None) -> str:
    """A duration in at most two units: "42 ms", "3.2 s", "2 min 5 s", "3 h 10 min", "2 d 4 h"."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, size, part in (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def _text(at: datetime, milliseconds: bool) -> str:
    text = f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{at.microsecond // 1000:03d}" if milliseconds else text
