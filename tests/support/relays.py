"""Starts relays inside the test's process, on the test's own outbox and topology."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.confirmation.sweeper import SweepThresholds
from services.relay.main import build
from services.relay.settings import RelaySettings
from tests.support import wal_source

TOPIC = "order-events"


def settings(url: str, aws: Aws, topology: BrokerNames, **changes: Any) -> RelaySettings:
    """Return the settings of a relay of the order events, with short waits."""
    values: dict[str, Any] = {
        "database_url": url,
        "aws_endpoint_url": aws.endpoint_url,
        "topology_prefix": topology.prefix,
        "topic": TOPIC,
        "publish_check_wait_seconds": 1,
        "lease_seconds": 3,
        "call_seconds": 2,
        "drain_seconds": 5,
    }
    return RelaySettings(**{**values, **wal_source.settings(url), **changes})


@asynccontextmanager
async def running(made: RelaySettings, *, thresholds: SweepThresholds | None = None) -> AsyncIterator[Signals]:
    """Run a relay until the end of the block, and then drain it."""
    signals = Signals()
    app = build(made, signals=signals, thresholds=thresholds)
    async with app.router.lifespan_context(app):
        yield signals


async def shared_out(*relays: Signals) -> None:
    """Wait until these relays, the only ones, have an even share of the lanes each."""
    even = LANES // len(relays)
    for signals in relays:
        await signals.wait("lanes.changed", where=lambda facts: facts["owned"] == even)
