"""How much a run of the suite does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bounds of every part."""

    rounds: int
    events: int
    groups: int
    lines: int
    """Order lines in an event's payload."""
    in_flight: int
    latency_ms: float
    requests: int
    rates: tuple[float, ...]
    """Orders a second of the whole chain, one step each."""
    step_seconds: float
    most_seconds: float
    """Of each part: no round begins after that."""
    tutorial_events: int


QUICK = Sizes(
    rounds=10,
    events=3000,
    groups=600,
    lines=3,
    in_flight=16,
    latency_ms=10,
    requests=400,
    rates=(2, 20),
    step_seconds=20,
    most_seconds=150,
    tutorial_events=200,
)
FULL = Sizes(
    rounds=20,
    events=20_000,
    groups=2000,
    lines=3,
    in_flight=16,
    latency_ms=10,
    requests=4000,
    rates=(2, 10, 20, 40, 60),
    step_seconds=60,
    most_seconds=1500,
    tutorial_events=1000,
)
TINY = Sizes(
    rounds=2,
    events=100,
    groups=20,
    lines=1,
    in_flight=4,
    latency_ms=2,
    requests=20,
    rates=(5,),
    step_seconds=2,
    most_seconds=60,
    tutorial_events=20,
)
