"""What a publisher reports of its own outbox: problems as sentences, NaN for unknown values, no false alarms."""

import json
import math
from io import StringIO
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from event_trio.observability import logging
from event_trio.outbox.metrics import OutboxMetrics
from event_trio.outbox.monitor import GRACE_SECONDS, MOST, STALE_SECONDS, OutboxMonitor, OutboxObservation
from event_trio.testing import FakeClock

LONG_ALONE = GRACE_SECONDS + 1


@pytest.mark.parametrize(
    ("sight", "signals"),
    [
        (OutboxObservation(live=1), None),
        (OutboxObservation(events=9, age=59, live=2, heard=1), None),
        (OutboxObservation(live=0, heard=22.4), "no relay is running for this outbox; last heartbeat 22 s ago"),
        (OutboxObservation(live=0), "no relay is running for this outbox; none is registered"),
        (
            OutboxObservation(events=1, age=4, live=0, heard=40),
            "no relay is running for this outbox; last heartbeat 40 s ago; 1 event waits, the oldest for 4 s",
        ),
        (
            OutboxObservation(events=MOST, age=400, live=0, heard=401),
            "no relay is running for this outbox; last heartbeat 401 s ago; "
            "at least 5000 events wait, the oldest for 400 s",
        ),
        (OutboxObservation(events=2, age=61, live=1, heard=1), "the oldest event waits 61 s"),
        (
            OutboxObservation(events=2, age=61, live=1, paused=True),
            "the oldest event waits 61 s; an operator paused the outbox",
        ),
        (OutboxObservation(events=2, age=61), "the oldest event waits 61 s"),
        (OutboxObservation(events=2, age=5), None),
    ],
)
def test_an_observation_names_the_problem(sight: OutboxObservation, signals: str | None) -> None:
    assert sight.trouble(alone_seconds=LONG_ALONE) == signals


def test_a_relay_that_left_has_a_grace_period_and_a_dead_one_has_not() -> None:
    assert OutboxObservation(live=0).trouble(alone_seconds=GRACE_SECONDS) is None
    assert OutboxObservation(live=0, heard=16).trouble(alone_seconds=0) is not None


class NoDatabase:
    """A pool that gives no connection."""

    def acquire(self, timeout: float) -> Any:
        raise OSError("away")


async def test_metrics_are_unknown_before_the_first_observation_and_after_the_last_has_expired() -> None:
    registry, clock = CollectorRegistry(), FakeClock(seconds=100.0)
    metrics = OutboxMetrics(registry)
    watch = OutboxMonitor("postgresql://nobody@127.0.0.1:9/none", metrics, topic="t.fifo", clock=clock)
    assert math.isnan(registry.get_sample_value("outbox_live_relays") or 0.0)
    metrics.relays.set(1)
    await watch.look(NoDatabase())
    assert (await watch.check(), registry.get_sample_value("outbox_live_relays")) == (None, 1.0)
    clock.seconds += STALE_SECONDS + 1
    await watch.look(NoDatabase())
    assert await watch.check() == "the outbox could not be observed for 31 s; see the log"
    assert math.isnan(registry.get_sample_value("outbox_live_relays") or 0.0)


def test_cloudwatch_gets_the_metrics_that_the_alarms_use() -> None:
    stream, clock = StringIO(), FakeClock(seconds=100.0)
    logging.configure("order", format="json", stream=stream)
    watch = OutboxMonitor(
        "postgresql://x", OutboxMetrics(CollectorRegistry()), topic="p.fifo", report=True, clock=clock
    )
    for live in (1, 0, None):
        watch._show(OutboxObservation(events=3, age=7.5, live=live, heard=2))
        watch._show(OutboxObservation(events=9, live=1))  # within the minute
        clock.seconds += 60
    first, second, third = [json.loads(line) for line in stream.getvalue().splitlines()]
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["TopicName"]]
    assert all(directive_name["Name"] in first for directive_name in directive["Metrics"])
    assert (first["TopicName"], first["outbox_live_relays"], first["_aws"]["Timestamp"]) == ("p.fifo", 1, 100_000)
    assert second["outbox_live_relays"] == 0
    assert "outbox_live_relays" not in third, "a relay that cannot be seen is not signals to be away"
