"""What happens to an event whose handler failed: declared beside the handler, decided here. Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ..retry import Backoff

IN_PLACE_SECONDS = 60.0
"""How long a message may be retried while it stays in flight; its group waits for it as long."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Put the event aside as a dead letter, with the reason; its group goes on."""


Last: TypeAlias = DeadLetter
"""What can follow the last attempt."""


@dataclass(frozen=True, slots=True)
class RetryInPlace:
    """Run the handler again after a growing wait, for at most `within` seconds in all; then do the last thing."""

    within: float = IN_PLACE_SECONDS
    backoff: Backoff = field(default=Backoff(first=0.5, factor=2.0, cap=15.0, jitter=0.5))
    then: Last = field(default=DeadLetter())

    def __post_init__(self) -> None:
        if not 0 < self.within <= IN_PLACE_SECONDS:
            raise ValueError(f"in place means at most {IN_PLACE_SECONDS:.0f} seconds, not {self.within}")


FailurePolicy: TypeAlias = Last | RetryInPlace


@dataclass(frozen=True, slots=True)
class Again:
    """Run the handler again after so many seconds."""

    after: float


def next_step(policy: FailurePolicy, *, attempts: int, spent: float, random: float) -> Again | Last:
    """What to do after a failed attempt.

    `attempts` counts the failed ones, this one included; `spent` is how many seconds they and the waits between them
    took (an outage of the database is not among them); `random` is from [0, 1).
    """
    if isinstance(policy, DeadLetter):
        return policy
    after = policy.backoff.delay(attempts, random)
    return Again(after) if spent + after <= policy.within else policy.then
