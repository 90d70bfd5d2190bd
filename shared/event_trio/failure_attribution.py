"""Whose fault it is when something fails over one item: the item's, or that of the whole. Counting only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto

REMEMBERED = 1000
"""Items over which it failed; the one that did so longest ago is forgotten first."""
CHANCES = 3
"""How often it may fail over an item while others get through, before that is the item's own fault."""


class Attribution(Enum):
    """Whose fault a failure is."""

    WHOLE = auto()
    """Nothing has got through since it failed over this item before: it fails as a whole, as far as anyone knows."""
    UNCLEAR = auto()
    """Something else got through meanwhile. That says nothing of the whole, and not enough of the item."""
    ITEM = auto()
    """It happened again and again while others got through."""


class FailureAttribution:
    """Remembers what failed over which item, and how much else got through."""

    def __init__(self, *, chances: int = CHANCES) -> None:
        self._chances = chances
        self._through = 0
        self._failed: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def failed(self, item: Hashable) -> Attribution:
        """It failed over the item, in a way that may be the item's doing."""
        before, times = self._failed.pop(item, (self._through, 0))
        alone = before < self._through
        times += alone
        self._failed[item] = (self._through, times)
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        if times > self._chances:
            return Attribution.ITEM
        return Attribution.UNCLEAR if alone else Attribution.WHOLE

    def answered(self, item: Hashable, *, through: bool) -> None:
        """It said something about the item; `through` if that was what was asked for."""
        self._failed.pop(item, None)
        self._through += through
