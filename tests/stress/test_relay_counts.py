"""What the relay costs per event, compared with the baseline: counts, which do not drift with the machine."""

import os
from dataclasses import asdict

import pytest

from benchmarks.baseline import baseline, keep
from benchmarks.relay import drain
from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill
from tests.support.relays import settings

GROUPS, EACH = 1000, 10
# How much worse than the baseline a count may be. Calls and statements depend a little on how fast the broker answers.
TOLERANCE = {"publish_calls": 1.10, "statements": 1.5, "transactions": 1.5, "wal_bytes": 1.25, "dead_tuples": 1.25}
MOST = {"publish_calls": 0.11, "statements": 0.05}


@pytest.mark.timeout(240)
async def test_the_relay_costs_no_more_than_it_did(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    await fill(outbox_database.url, GROUPS, each=EACH)
    made = settings(
        outbox_database.url_for(OUTBOX_RELAY), aws, topology, lease_seconds=15, call_seconds=5, drain_seconds=10
    )
    cost = await drain(outbox_database.url, made, seconds=200)
    print(cost)  # noqa: T201 - shown when it fails, and with -s
    if os.environ.get("KEEP_BASELINE"):
        keep("relay", asdict(cost))
    for name, most in MOST.items():
        assert getattr(cost, name) <= most, f"{name}: {getattr(cost, name)} per event, at most {most}"
    known = baseline("relay")
    for name, factor in TOLERANCE.items():
        assert getattr(cost, name) <= known[name] * factor, f"{name}: {getattr(cost, name)}, was {known[name]}"
