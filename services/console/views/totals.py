"""The numbers of the whole system, and the rates of the last quarter of an hour as a chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..api_clients.samples import SAMPLE_SECONDS, MetricSampler, RateSample
from .observation import LATE_SECONDS, ObservedProcess, ObservedSystem, counted

SERIES = ("sent", "published", "handled")
MOST_POINTS = 180


@dataclass(frozen=True, slots=True)
class Total:
    """A number: its text is `overview.total.<name>`. `level` is `bad` or `warn` if it deserves a look."""

    name: str
    value: str
    unit: str = ""
    level: str = ""


def totals(seen: ObservedSystem, sampler: MetricSampler) -> list[Total]:
    """Rates, lag, and what waits."""
    relays = [each for each in seen.processes.values() if each.process.is_relay]
    services = [each for each in seen.processes.values() if not each.process.is_relay]
    pending = sum(counted(each.state.body.get("pending")) for each in relays)
    known = [each.state.body for each in relays if not each.is_starting]
    oldest = max((body.get("oldest_pending_seconds") or 0 for body in known), default=0)
    held = sum(counted(each.state.body.get("held_groups")) for each in relays)
    dead = sum(counted(each.state.body.get("dead")) for each in services)
    waiting = sum(counted(each.state.body.get(name)) for each in services for name in ("waiting", "blocked"))
    return [
        Total("published", _rate([sampler.rate(each.process.name, "published") for each in relays]), "/s"),
        Total("handled", _rate([sampler.rate(each.process.name, "handled") for each in services]), "/s"),
        Total("pending", _sum(pending, relays), level="bad" if oldest > LATE_SECONDS else ""),
        Total("held", _sum(held, relays), level="bad" if held else ""),
        Total("deferred", _sum(waiting, services)),
        Total("dead", _sum(dead, services), level="warn" if dead else ""),
    ]


def chart(samples: Iterable[Sequence[RateSample]]) -> str:
    """The sums of all processes by time, as JSON: the times, and the values of each of `SERIES`."""
    buckets: dict[int, dict[str, float]] = {}
    for process in samples:
        for sample in process:
            bucket = buckets.setdefault(round(sample.at / SAMPLE_SECONDS), {})
            for name in SERIES:
                bucket[name] = bucket.get(name, 0.0) + sample.rates.get(name, 0.0)
    times = sorted(buckets)[-MOST_POINTS:]
    rows = [[round(buckets[time].get(name, 0.0), 2) for time in times] for name in SERIES]
    return json.dumps([[int(time * SAMPLE_SECONDS) for time in times], *rows], separators=(",", ":"))


def _sum(value: int, processes: Sequence[ObservedProcess]) -> str:
    return f"{value:,}" if any(each.state.ok for each in processes) else "–"


def _rate(rates: list[float | None]) -> str:
    known = [rate for rate in rates if rate is not None]
    return f"{sum(known):.1f}" if known else "–"
