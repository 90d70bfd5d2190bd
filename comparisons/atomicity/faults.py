"""Injects faults: the coordinator is killed at a step, and calls to participants fail as calls over a network do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from comparisons.atomicity.world import pause

Operation = Callable[[], Awaitable[None]]


class CoordinatorKilled(BaseException):
    """The coordinator is gone, with all that it had in memory. Its open transactions are rolled back."""


class Unreachable(ConnectionError):
    """The caller has no answer: it cannot know whether the participant did it."""


class TakeRefused(Exception):
    """The participant has not enough, and says so."""


class CallFault(StrEnum):
    """What can happen to a call, or to a message."""

    AWAY = "away"
    """The participant cannot be reached, now and until the end of the fault."""
    ANSWER_LOST = "answer lost"
    """The participant did it, and the caller does not learn it."""
    TWICE = "twice"
    """The participant receives the message twice."""
    SLOW = "slow"
    """The caller gives up, and the participant does it when everything else is over."""


@dataclass
class Faults:
    """The faults of one run, and what could have been hit: every step and every call is counted."""

    kills: frozenset[int] = frozenset()
    """The numbers of the steps at which the coordinator is killed."""
    call_fault: tuple[CallFault, int] | None = None
    """What happens to the call with this number."""
    delay: float = 0.0
    """Seconds that a call takes, half of it each way."""
    steps: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    late: list[Operation] = field(default_factory=list)
    """What slow participants still have to do."""
    _away: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        killed = f"killed at {', '.join(map(str, sorted(self.kills)))}" if self.kills else ""
        called = f"{self.call_fault[0]} at call {self.call_fault[1]}" if self.call_fault else ""
        return killed or called or "no fault"

    def step(self, name: str) -> None:
        """The coordinator has done something that lasts. Raises CoordinatorKilled if it is killed here."""
        self.steps.append(name)
        if len(self.steps) - 1 in self.kills:
            raise CoordinatorKilled(name)

    async def call(self, participant: str, name: str, operation: Operation) -> None:
        """Call a participant. Raises Unreachable when there is no answer, and what the operation raises."""
        number = len(self.calls)
        self.calls.append(f"{name} at {participant}")
        fault = self.call_fault[0] if self.call_fault and self.call_fault[1] == number else None
        if fault is CallFault.AWAY:
            self._away.add(participant)
        if participant in self._away:
            raise Unreachable(f"{participant} is away")
        if fault is CallFault.SLOW:
            self.late.append(operation)
            raise Unreachable(f"{participant} does not answer in time")
        await pause(self.delay / 2)
        await operation()
        if fault is CallFault.TWICE:
            await operation()
        if fault is CallFault.ANSWER_LOST:
            raise Unreachable(f"the answer of {participant} is lost")
        await pause(self.delay / 2)

    def end_calls(self) -> None:
        """The participants are back. The coordinator may still be killed again."""
        self.call_fault = None
        self._away.clear()
