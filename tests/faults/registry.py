"""The catalogue of faults, by number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.faults.checker.histories import Expectations

if TYPE_CHECKING:
    from tests.faults.run import Run

Inject: TypeAlias = Callable[["Run"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that a run injects while clients work."""

    number: int
    what: str
    promises: str
    """The promises at stake, such as "P2 P3"."""
    inject: Inject
    expectations: Expectations
    uses: frozenset[str]
    """What it takes hold of; a pair of faults shares none of these."""
    confirmed: bool = True
    """Whether every event has to be confirmed for the system to count as drained."""


class FaultSkipped(Exception):
    """The fault cannot be injected on this machine; the message says why."""


FAULTS: dict[int, Fault] = {}


def fault(
    number: int,
    what: str,
    promises: str,
    *uses: str,
    stale: bool = False,
    unresolved: bool = False,
    reported: bool = True,
    progress: bool = False,
    orders: bool | None = None,
    quiet: bool = False,
    drain_seconds: float = 60.0,
    confirmed: bool = True,
) -> Callable[[Inject], Inject]:
    """Register a fault. `uses` names what it takes hold of; the rest is what the fault is allowed to cause.

    Requests have to succeed meanwhile, unless the fault takes hold of the order service or its connections.
    """
    if orders is None:
        orders = not {"order", "order_db"}.intersection(uses)

    def register(inject: Inject) -> Inject:
        if number in FAULTS:
            raise ValueError(f"two faults have the number {number}")
        expectations = Expectations(stale, unresolved, reported, progress, orders, quiet, drain_seconds)
        FAULTS[number] = Fault(number, what, promises, inject, expectations, frozenset(uses), confirmed)
        return inject

    return register
