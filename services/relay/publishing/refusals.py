"""Tells a bad event from a broker that refuses everything: many groups refused, and nothing accepted in between."""

from __future__ import annotations

from collections.abc import Iterable

WINDOW_SECONDS = 60.0
GROUPS = 5


class Refusals:
    """Counts the groups refused for good within a minute. Times are monotonic seconds."""

    def __init__(self, *, groups: int = GROUPS, window: float = WINDOW_SECONDS) -> None:
        self._groups = groups
        self._window = window
        self._refused: dict[str, float] = {}

    def add(self, subjects: Iterable[str], now: float) -> bool:
        """These were refused; True when it is too many for the events to be at fault."""
        self._refused = {subject: at for subject, at in self._refused.items() if now - at < self._window}
        self._refused |= dict.fromkeys(subjects, now)
        return len(self._refused) >= self._groups

    def forget(self) -> None:
        """Something else was accepted: the broker is well."""
        self._refused.clear()
