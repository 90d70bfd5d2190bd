"""The cost of the relay per event, compared with the baseline, in counts that do not depend on the machine."""

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
# The factor by which a count may exceed the baseline. Calls and statements depend slightly on the speed of the broker.
TOLERANCE = {"publish_calls": 1.10, "statements": 1.5, "transactions": 1.5, "wal_bytes": 1.25, "dead_tuples": 1.25}
LIMITS = {"publish_calls": 0.11, "statements": 0.05}


@pytest.mark.timeout(240)
async def test_the_relay_costs_no_more_than_the_baseline(
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
    for name, limit in LIMITS.items():
        assert getattr(cost, name) <= limit, f"{name}: {getattr(cost, name)} per event, at most {limit}"
    known = baseline("relay")
    for name, factor in TOLERANCE.items():
        assert getattr(cost, name) <= known[name] * factor, f"{name}: {getattr(cost, name)}, was {known[name]}"
