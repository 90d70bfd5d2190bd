"""What happens to an event whose handler failed, or whose type has no handler. Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from ..backoff import GREATEST_FACTOR, Backoff

IN_PLACE_SECONDS = 60.0
"""How long a message may be retried in flight; its group waits meanwhile."""
LONGEST_WAIT_SECONDS = 7 * 86_400.0
"""The longest delay between two attempts."""
MOST_ATTEMPTS = 1000
"""The most attempts of a policy."""
LATER_ATTEMPTS = 10
"""How often a handler may raise RetryLater under a policy that counts no attempts."""


class Rest(StrEnum):
    """What the later messages of a group do while one of its messages is deferred or dead."""

    WAIT = "wait"
    """They wait, in order."""
    PASS = "pass"  # noqa: S105 - no password
    """They continue. The deferred message runs late, and is stale."""


class Unit(Enum):
    """The unit of a delay, in seconds."""

    SECONDS = 1.0
    MINUTES = 60.0
    HOURS = 3600.0


@dataclass(frozen=True, slots=True)
class Ignore:
    """Complete the event as if it had been handled; it is counted and logged."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Make the event a dead letter. Its group continues, or waits until an operator resolves it."""

    rest: Rest = Rest.PASS


@dataclass(frozen=True, slots=True)
class PublishFailure:
    """Record the failure as an event, by the handler's `on_failure`. The publisher compensates."""


class UnknownTypes(StrEnum):
    """What happens to an event whose type has no handler. An unknown version of a known type is a dead letter."""

    DEAD_LETTER = "dead_letter"
    """It becomes a dead letter."""
    IGNORE = "ignore"
    """It is acknowledged, counted and logged; its inbox row has the outcome `ignored`."""


FinalPolicy: TypeAlias = Ignore | DeadLetter | PublishFailure
"""What can follow the last attempt."""


@dataclass(frozen=True, slots=True)
class RetryInPlace:
    """Run the handler again after growing delays, for at most `within` seconds in all; then apply `then`."""

    within: float = IN_PLACE_SECONDS
    backoff: Backoff = field(default=Backoff(first=0.5, factor=2.0, cap=15.0, jitter=0.5))
    then: FinalPolicy = field(default=DeadLetter())

    def __post_init__(self) -> None:
        if not 0 < self.within <= IN_PLACE_SECONDS:
            raise ValueError(f"in place means at most {IN_PLACE_SECONDS:.0f} seconds, not {self.within}")


@dataclass(frozen=True, slots=True)
class Retry:
    """Run the handler `attempts` times in all, after delays of `delay` units that grow by the factor `backoff`.

    While the delays are short the message stays in flight. Beyond that it is deferred, and the `rest` of its group
    waits for it or passes it. After the last attempt `then` is applied.
    """

    attempts: int = 5
    delay: float = 1.0
    unit: Unit = Unit.SECONDS
    backoff: float = 2.0
    then: FinalPolicy = field(default=DeadLetter())
    rest: Rest = Rest.WAIT

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise ValueError(f"attempts must be a whole number from 1 to {MOST_ATTEMPTS}, not {self.attempts}")
        if not 0 < self.delay * self.unit.value <= LONGEST_WAIT_SECONDS:
            raise ValueError(f"delay must be above 0 and at most a week, not {self.delay:g} {self.unit.name.lower()}")
        if not 1 <= self.backoff <= GREATEST_FACTOR:
            raise ValueError(f"backoff must be from 1 to {GREATEST_FACTOR:g}, not {self.backoff:g}")

    def wait(self, attempt: int, random: float | None = None) -> float:
        """Seconds to wait after the given failed attempt."""
        first = self.delay * self.unit.value
        return Backoff(first=first, factor=self.backoff, cap=LONGEST_WAIT_SECONDS, jitter=0.1).delay(attempt, random)


FailurePolicy: TypeAlias = FinalPolicy | RetryInPlace | Retry


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Run the handler again after so many seconds, in flight."""

    after: float


@dataclass(frozen=True, slots=True)
class DeferFor:
    """Defer the message, to run again after so many seconds."""

    after: float
    rest: Rest


def final_policy(policy: FailurePolicy) -> FinalPolicy:
    """What the policy applies when no attempt is left."""
    return policy.then if isinstance(policy, RetryInPlace | Retry) else policy


def rest_of(policy: FailurePolicy) -> Rest:
    """What the later messages of the group do while a message under this policy is deferred."""
    return policy.rest if isinstance(policy, Retry) else Rest.WAIT


def next_step(
    policy: FailurePolicy,
    *,
    attempts: int,
    spent: float | None,
    asked: float | None = None,
    random: float | None = None,
) -> RetryAfter | DeferFor | FinalPolicy:
    """What to do after a failed attempt.

    `attempts` counts the failed ones, this one included; `spent` is how many seconds they and the waits between them
    took, or None when the message cannot wait in flight. `asked` is the delay that the handler asked for. `random`,
    from [0, 1), replaces the backoff's own randomness in tests.
    """
    if isinstance(policy, RetryInPlace):
        after = policy.backoff.delay(attempts, random) if asked is None else asked
        if spent is not None and spent + after <= policy.within:
            return RetryAfter(after)
        return DeferFor(after, Rest.WAIT) if asked is not None and attempts < LATER_ATTEMPTS else policy.then
    if isinstance(policy, Retry):
        if attempts >= policy.attempts:
            return policy.then
        return wait_for(policy.wait(attempts, random) if asked is None else asked, spent=spent, rest=policy.rest)
    if asked is not None and attempts < LATER_ATTEMPTS:
        return wait_for(asked, spent=spent, rest=Rest.WAIT)
    return policy


def wait_for(after: float, *, spent: float | None, rest: Rest) -> RetryAfter | DeferFor:
    """In flight while the delay is short, deferred beyond that."""
    after = min(after, LONGEST_WAIT_SECONDS)
    return RetryAfter(after) if spent is not None and spent + after <= IN_PLACE_SECONDS else DeferFor(after, rest)
