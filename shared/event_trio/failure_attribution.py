"""Attributes failures of a dependency over an item to the item or to the dependency, by counting only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto

REMEMBERED = 1000
"""The most items that are remembered; the one whose last failure is the oldest is forgotten first."""
CHANCES = 3
"""How often a call may fail for an item while others succeed, before the failure is attributed to the item."""


class Attribution(Enum):
    """The cause of a failure."""

    DEPENDENCY = auto()
    """Nothing has succeeded since the last failure of this item: as far as is known, the dependency is down."""
    UNCLEAR = auto()
    """Something else succeeded in the meantime. That does not yet show that the item is the cause."""
    ITEM = auto()
    """The item failed repeatedly while others succeeded."""


class FailureAttribution:
    """Remembers which items failed, and how many calls succeeded in between."""

    def __init__(self, *, chances: int = CHANCES) -> None:
        self._chances = chances
        self._successes = 0
        self._failed: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def record_failure(self, item: Hashable) -> Attribution:
        """A call failed, in a way that the item may have caused."""
        before, times = self._failed.pop(item, (self._successes, 0))
        others_succeeded = before < self._successes
        times += others_succeeded
        self._failed[item] = (self._successes, times)
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        if times > self._chances:
            return Attribution.ITEM
        return Attribution.UNCLEAR if others_succeeded else Attribution.DEPENDENCY

    def record_response(self, item: Hashable, *, success: bool) -> None:
        """The dependency responded about the item, successfully or not."""
        self._failed.pop(item, None)
        self._successes += success
