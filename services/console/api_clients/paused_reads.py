"""Remembers which reads were not answered in time, so that pages do not wait for the same again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .processes import ApiProcess

PAUSE_SECONDS = 5.0
"""What was not answered in time is not asked again for so long."""

Kind = tuple[str, tuple[str, ...]]


class PausedReads:
    """The reads that are paused: those with the same path and parameters, and all of a process of which two kinds are.

    One slow search does not hide the rest of its process, and a process that hangs delays one page only.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[str, dict[Kind, float]] = {}

    def has(self, process: ApiProcess, path: str, params: Iterable[str]) -> bool:
        """Whether such a read is paused."""
        now = self._monotonic()
        paused = {kind: until for kind, until in self._until.get(process.name, {}).items() if now < until}
        self._until[process.name] = paused
        return len(paused) > 1 or _kind(path, params) in paused

    def learn(self, process: ApiProcess, path: str, params: Iterable[str], *, slow: bool) -> None:
        """Remember whether such a read was answered in time."""
        paused = self._until.setdefault(process.name, {})
        if slow:
            paused[_kind(path, params)] = self._monotonic() + PAUSE_SECONDS
        else:
            paused.pop(_kind(path, params), None)


def _kind(path: str, params: Iterable[str]) -> Kind:
    return path, tuple(sorted(params))
