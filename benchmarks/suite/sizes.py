"""How much a run of the suite does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bounds of every part."""

    rounds: int
    events: int
    """Of a run on the stub broker."""
    messages: int
    """Of a run of consumers, and of a run on LocalStack."""
    groups: int
    lines: int
    """Order lines in an event's payload."""
    in_flight: int
    latency_ms: float
    requests: int
    calls: int
    """Calls of one run of the client."""
    rates: tuple[float, ...]
    """Orders a second of the whole chain, one step each."""
    step_seconds: float
    most_seconds: float
    """Of each part: no round begins after that."""
    slow_events: int
    """Events of a candidate that publishes one message a call."""
    history: int
    backlog: int


QUICK = Sizes(
    rounds=10,
    events=6000,
    messages=2000,
    groups=1000,
    lines=3,
    in_flight=16,
    latency_ms=10,
    requests=300,
    calls=100,
    rates=(10, 40),
    step_seconds=20,
    most_seconds=85,
    slow_events=300,
    history=10_000_000,
    backlog=1_000_000,
)
FULL = Sizes(
    rounds=20,
    events=20_000,
    messages=10_000,
    groups=2000,
    lines=3,
    in_flight=16,
    latency_ms=10,
    requests=3000,
    calls=500,
    rates=(2, 10, 20, 40, 60),
    step_seconds=60,
    most_seconds=1200,
    slow_events=2000,
    history=10_000_000,
    backlog=1_000_000,
)
TINY = Sizes(
    rounds=2,
    events=100,
    messages=100,
    groups=20,
    lines=1,
    in_flight=4,
    latency_ms=2,
    requests=20,
    calls=5,
    rates=(5,),
    step_seconds=2,
    most_seconds=60,
    slow_events=20,
    history=5000,
    backlog=2000,
)
