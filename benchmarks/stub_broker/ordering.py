"""Checks that the messages of a group arrive in order: values 1, 2, 3, ... of a field in the body."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SHOWN = 20
LARGEST_GAP = 1000
"""A gap larger than that is taken for the group's beginning, not for values that are still to come."""


class OrderField:
    """Finds the value of a field in a JSON body without parsing it: the first occurrence counts."""

    def __init__(self, name: str) -> None:
        self._pattern = re.compile(rb'"' + re.escape(name.encode()) + rb'"\s*:\s*"?([0-9]+)')

    def value(self, body: bytes) -> int | None:
        """The field as a number; None when the body has no such field."""
        found = self._pattern.search(body)
        return int(found[1]) if found else None


@dataclass(slots=True)
class _Progress:
    last: int
    missing: set[int]


@dataclass
class OrderCheck:
    """Counts the messages of one topic that were published out of order, and those published again."""

    checked: int = 0
    unchecked: int = 0
    """Messages whose body has no field to check."""
    violations: int = 0
    repeats: int = 0
    """Messages whose value the group has had before."""
    examples: list[str] = field(default_factory=list)
    _groups: dict[str, _Progress] = field(default_factory=dict)

    def see(self, group: str, value: int | None) -> None:
        """Note a message of the group. A later value first is a gap; the value that fills it is the violation."""
        if value is None:
            self.unchecked += 1
            return
        self.checked += 1
        progress = self._groups.get(group)
        if progress is None:
            self._groups[group] = _Progress(value, _between(0, value))
        elif value > progress.last:
            if value > progress.last + 1:
                progress.missing |= _between(progress.last, value)
            progress.last = value
        elif value in progress.missing:
            progress.missing.discard(value)
            self.violations += 1
            if len(self.examples) < SHOWN:
                self.examples.append(f"{group}: {value} after {progress.last}")
        else:
            self.repeats += 1

    @property
    def missing(self) -> int:
        """Values that were skipped and have not come."""
        return sum(len(progress.missing) for progress in self._groups.values())

    @property
    def groups(self) -> int:
        """Groups that were seen."""
        return len(self._groups)


def _between(last: int, value: int) -> set[int]:
    return set(range(last + 1, value)) if value - last <= LARGEST_GAP else set()
