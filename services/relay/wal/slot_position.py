"""How far the log is dealt with: the position that the slot may confirm."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Transaction:
    unsent: int = 0
    end: int | None = None


class SlotPosition:
    """Follows which unsent events the log has shown, and confirms nothing behind the first of them.

    An event is dealt with when the table says so: it is recorded as sent, or held, or no longer there. The confirmed
    position is no proof of sending: events from before the slot, or passed by another reader of it, never were here.
    """

    def __init__(self, most: int) -> None:
        """`most` is how many unsent events are followed before reading pauses."""
        self._most = most
        self._transactions: deque[_Transaction] = deque()
        self._unsent: dict[int, _Transaction] = {}
        self._current: _Transaction | None = None
        self._received = self._confirmed = 0

    @property
    def confirmed(self) -> int:
        """Everything before this position is dealt with; 0 if nothing is known yet."""
        return self._confirmed

    @property
    def received(self) -> int:
        """Everything before this position was received."""
        return self._received

    @property
    def unsent(self) -> int:
        """How many unsent events are followed."""
        return len(self._unsent)

    @property
    def full(self) -> bool:
        """Whether no more unsent events should be read."""
        return len(self._unsent) >= self._most

    def oldest(self, count: int) -> list[int]:
        """Return the ids of the events that were recorded first, of those that are not dealt with."""
        return [number for number, _ in zip(self._unsent, range(count), strict=False)]

    def begin(self) -> None:
        """A transaction begins."""
        self._current = _Transaction()

    def found(self, event_id: int, *, unsent: bool) -> None:
        """The transaction left an event in this state."""
        if not unsent:
            self.settle((event_id,))
        elif event_id not in self._unsent and self._current is not None:
            if not self._current.unsent:
                self._transactions.append(self._current)
            self._current.unsent += 1
            self._unsent[event_id] = self._current

    def commit(self, end: int) -> None:
        """The transaction ends at this position."""
        if self._current is not None:
            self._current.end = end
        self._current = None
        self._received = end
        self._advance()

    def keepalive(self, position: int) -> None:
        """The server has decoded everything up to this position."""
        if self._current is None:
            self._received = max(self._received, position)
            self._advance()

    def settle(self, event_ids: Iterable[int]) -> None:
        """These events are recorded as sent, or held, or gone."""
        for event_id in event_ids:
            transaction = self._unsent.pop(event_id, None)
            if transaction is not None:
                transaction.unsent -= 1
        self._advance()

    def _advance(self) -> None:
        while self._transactions and self._transactions[0].unsent == 0 and self._transactions[0].end is not None:
            self._confirmed = self._transactions.popleft().end or self._confirmed
        if not self._transactions and self._current is None:
            self._confirmed = self._received
