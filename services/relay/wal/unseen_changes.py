"""Groups whose change the log has shown, until other transactions see it in the table, too.

Postgres writes a commit into the log first, and lets others see the transaction afterwards: a moment later, or with
synchronous replication when the standby has answered. Who reads the table in between finds nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

XIDS = 2**32
"""Transaction ids in the log have 32 bits, those of snapshots 64."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions a statement sees, as `pg_current_snapshot` tells it."""

    first_running: int
    next: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """From `xmin:xmax:xip,xip`."""
        first, following, running = text.split(":")
        return cls(int(first), int(following), frozenset(int(each) for each in running.split(",") if each))

    def sees(self, xid: int) -> bool:
        """Whether a committed transaction with this id of 32 bits is seen."""
        # It is the one nearest to the next id: older ones would have been frozen.
        whole = self.next + (xid - self.next + XIDS // 2) % XIDS - XIDS // 2
        return whole < self.first_running or (whole < self.next and whole not in self.running)


class UnseenChanges:
    """Changed groups in the order of their commits, each until a snapshot sees all transactions that changed it."""

    def __init__(self) -> None:
        self._xids: dict[str, set[int]] = {}

    def __len__(self) -> int:
        return len(self._xids)

    def add(self, subjects: Iterable[str], xid: int) -> None:
        """A transaction has changed these groups."""
        for subject in subjects:
            self._xids.setdefault(subject, set()).add(xid)

    def take(self, snapshot: Snapshot) -> list[str]:
        """Remove and return the groups of which this snapshot, and so every later one, sees all changes."""
        unseen = {xid for xids in self._xids.values() for xid in xids if not snapshot.sees(xid)}
        taken = [subject for subject, xids in self._xids.items() if xids.isdisjoint(unseen)]
        for subject in taken:
            del self._xids[subject]
        return taken
