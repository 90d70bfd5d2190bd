"""Creates the parts that read the write-ahead log, with SOURCE=wal. Importing it needs psycopg."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from event_trio.database.connections import Pool
from event_trio.signals import Signals

from .leases.lanes import Lanes
from .metrics import RelayMetrics
from .publishing.pending_group import NextEventAfter
from .publishing.relay import Relay
from .settings import RelaySettings
from .wal.lane_notifier import LaneNotifier
from .wal.source import SourceLinks, WalSource


@dataclass(frozen=True, slots=True)
class SourceParts:
    """The loop that reads the log, and the one that passes on what is of other relays."""

    source: WalSource
    notifier: LaneNotifier


def create_source(
    settings: RelaySettings,
    pool: Pool,
    relay_id: UUID,
    lanes: Lanes,
    relay: Relay,
    metrics: RelayMetrics,
    signals: Signals,
) -> SourceParts:
    """Create the source of a relay; it connects when it runs."""
    notifier = LaneNotifier(pool, signals=signals)
    links = SourceLinks(
        owns=lanes.owns,
        has_lease=lambda: lanes.trouble is None,
        announce=relay.announce,
        pass_on=notifier.notify,
        read_everything=relay.wake,
    )
    source = WalSource(
        pool,
        (settings.wal_database_url or settings.database_url).get_secret_value(),
        relay_id,
        slot=settings.slot,
        links=links,
        confirmed_wakes=settings.next_event_after is NextEventAfter.CONFIRMED,
        metrics=metrics,
        signals=signals,
    )
    return SourceParts(source, notifier)
