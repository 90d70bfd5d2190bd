"""Whose fault a failure was: the event's, or that of the database, which is nobody's attempt."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ...database.faults import Fault, fault_of
from ...error_text import describe
from ...inbox.guard import Identity
from ..database_breaker import DatabaseBreaker
from ..outcome import Unavailable

PUT_OFF_MOST = 30
"""How often an event is put off for the database before that is held against it: one that brings the database down, or
that loses to others for ever, must come to an end. With the waits in between it is some minutes."""
REMEMBERED = 10_000


@dataclass(slots=True)
class Progress:
    """How far an event had come when it failed."""

    in_database: bool = False
    """Statements are under way, ours or the handler's."""
    in_handler: bool = False
    """... and those are the handler's."""
    late: bool = False
    """The time for the handler was over."""
    used_up: bool = False
    """A handler that used up most of the time itself cannot blame the database for what was left."""


class FailureClassifier:
    """Tells failures apart. The database as a whole is blamed only when it does not take a write when asked."""

    def __init__(self, breaker: DatabaseBreaker) -> None:
        self._breaker = breaker
        self._put_off: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def outage(self, identity: Identity, error: BaseException, progress: Progress) -> Unavailable | None:
        """What to do if it was no fault of the event's, or None if it was."""
        fault = await self._fault(error, progress)
        if fault is None or self._count(identity) > PUT_OFF_MOST:
            return None
        return Unavailable(describe(error), whole=fault is Fault.UNAVAILABLE)

    def forget(self, identity: Identity) -> None:
        """It came to an end."""
        self._put_off.pop(_key(identity), None)

    async def _fault(self, error: BaseException, progress: Progress) -> Fault | None:
        fault = fault_of(error)
        if progress.late or isinstance(error, TimeoutError):
            # On a connection that went dead unnoticed no answer comes, while the next one is answered well.
            ours = progress.in_database and not (progress.in_handler or progress.used_up)
            return await self._if_it_answers(Fault.TRANSIENT if ours else None)
        if fault is Fault.NOT_MIGRATED:
            # Without the inbox nothing can be handled; what the handler asks for is the handler's matter.
            return Fault.UNAVAILABLE if progress.in_database and not progress.in_handler else None
        if fault is Fault.UNAVAILABLE:
            return await self._if_it_answers(Fault.TRANSIENT)
        if fault is None and isinstance(error, OSError):
            return await self._if_it_answers(None)
        return fault if fault is Fault.TRANSIENT else None

    async def _if_it_answers(self, otherwise: Fault | None) -> Fault | None:
        """The database, unless it answers: then it was something else."""
        return otherwise if await self._breaker.answers() else Fault.UNAVAILABLE

    def _count(self, identity: Identity) -> int:
        key = _key(identity)
        count = self._put_off[key] = self._put_off.pop(key, 0) + 1
        if len(self._put_off) > REMEMBERED:
            # Of what was left to expire nobody tells.
            self._put_off.popitem(last=False)
        return count


def _key(identity: Identity) -> tuple[str, str]:
    return identity.consumer, identity.event_id
