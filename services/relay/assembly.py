"""Creates the parts of a running relay and connects them: its only place where they know each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from event_trio.clock import SystemClock
from event_trio.database.connections import Pool
from event_trio.envelope import uuid7
from event_trio.idempotency.pruner import KeyPruner
from event_trio.idempotency.response_store import ResponseStore
from event_trio.idempotency.transactions import pool_transactions
from event_trio.lifecycle import Loop
from event_trio.observability.runtime_metrics import DatabaseMetrics
from event_trio.signals import Signals

from .api.dependencies import OperatorServices
from .api.readiness import HealthState
from .broker_parts import BrokerParts, IdentifyingPublisher, broker_parts
from .confirmation.broker_identity import BrokerIdentity
from .confirmation.control_monitor import ControlMonitor
from .confirmation.empty_queue import EmptyQueueObservations
from .confirmation.publish_check import PublishCheck
from .confirmation.sweeper import Sweeper, SweepThresholds
from .connections import Connections, connect
from .jobs.audit_pruner import AuditPruner
from .jobs.event_pruner import EventPruner
from .jobs.gauge import BacklogGauge
from .jobs.holds import Holds
from .jobs.releases import Releases
from .jobs.replays import Replays
from .jobs.step_loop import Job, StepLoop
from .leases.lanes import Lanes
from .leases.listener import OutboxListener
from .metrics import RelayMetrics
from .operators.broker_acceptance import BrokerAcceptance
from .operators.message_groups import MessageGroups
from .operators.operations import Operations
from .operators.overview import Overview
from .publishing.backlog import Backlog, NextEventAfter
from .publishing.dispatcher import Dispatcher
from .publishing.outbox_reader import OutboxReader, find_outbox
from .publishing.outbox_updates import OutboxUpdates
from .publishing.relay import Relay
from .settings import OutboxSource, RelaySettings
from .wal.source_state import SourceStatus

if TYPE_CHECKING:
    from .source_assembly import SourceParts

# The relay that owns this lane sweeps and does the jobs that need only one relay.
JOB_LANE = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the readiness checks and the routes of a running relay use."""

    readiness: HealthState
    operators: OperatorServices


@dataclass(frozen=True, slots=True)
class _Publishing:
    relay: Relay
    publisher: IdentifyingPublisher
    identity: BrokerIdentity
    lanes: Lanes
    listener: OutboxListener
    updates: OutboxUpdates
    wal: SourceParts | None

    def source(self) -> SourceStatus | None:
        return self.wal.source.status if self.wal is not None else None


@dataclass(frozen=True, slots=True)
class _ConfirmationParts:
    publish_check: PublishCheck
    sweeper: Sweeper
    control: ControlMonitor


async def assemble(
    settings: RelaySettings,
    metrics: RelayMetrics,
    database_metrics: DatabaseMetrics,
    signals: Signals,
    thresholds: SweepThresholds,
    responses: ResponseStore,
    stack: AsyncExitStack,
) -> tuple[Parts, list[Loop]]:
    """Create the parts of a relay and its loops; `stack` closes what this opens."""
    connections = await connect(settings, stack)
    pool, broker = connections.pool, broker_parts(settings, connections.broker)
    for name, watched in (
        ("relay", pool),
        ("relay-lease", connections.lease_pool),
        ("relay-operators", connections.operator_pool),
    ):
        database_metrics.watch_pool(name, watched)
    once_per_outbox: list[Job] = [
        Releases(pool, signals=signals),
        Replays(pool, metrics=metrics, signals=signals),
        Holds(pool, metrics=metrics, signals=signals),
    ]
    shared_jobs = [StepLoop(job, may_run=lambda: publishing.lanes.may_send(JOB_LANE)) for job in once_per_outbox]

    def on_lanes_notification() -> None:
        publishing.lanes.wake()
        if publishing.wal is not None:
            publishing.wal.source.wake()
        for job in shared_jobs:
            job.wake()

    publishing = _publishing(settings, connections, broker, metrics, signals, on_lanes_notification)
    confirmation = _confirmation(settings, connections, broker, publishing, metrics, signals, thresholds)
    # Whatever state the loop is in when the relay ends, its lanes are handed over before the connections close.
    stack.push_async_callback(publishing.relay.leave)
    own_jobs: list[Job] = [
        confirmation.control,
        EventPruner(pool, retention_hours=settings.retention_hours, metrics=metrics, signals=signals),
        AuditPruner(pool, retention_days=settings.audit_retention_days, signals=signals),
        BacklogGauge(pool, metrics, database_metrics, lanes=lambda: len(publishing.lanes.owned())),
    ]
    loops: list[Loop] = [
        *(publishing.lanes, publishing.relay, publishing.identity, publishing.listener),
        *((publishing.wal.source, publishing.wal.notifier) if publishing.wal is not None else ()),
        *(confirmation.publish_check, confirmation.sweeper),
        *shared_jobs,
        *(StepLoop(job) for job in own_jobs),
        KeyPruner(responses, pool_transactions(pool), signals=signals),
    ]
    operators = _operators(settings, connections, broker, publishing)
    return Parts(_readiness(pool, publishing, confirmation, operators.overview), operators), loops


def _publishing(
    settings: RelaySettings,
    connections: Connections,
    broker: BrokerParts,
    metrics: RelayMetrics,
    signals: Signals,
    on_lanes_notification: Callable[[], None],
) -> _Publishing:
    clock, relay_id, pool = SystemClock(), uuid7(), connections.pool
    identity = BrokerIdentity(
        pool,
        broker.created,
        relay_id=relay_id,
        automatic=settings.replays_by_itself,
        on_new=lambda: publisher.recheck_broker(),
        signals=signals,
    )
    publisher = broker.publisher(identity.identify)
    backlog = Backlog(settings.next_event_after, batch_bytes=settings.message_bytes)
    lanes = Lanes(
        connections.lease_pool,
        relay_id,
        lease_seconds=settings.lease_seconds,
        call_seconds=settings.call_seconds,
        clock=clock,
        busy=backlog.busy,
        signals=signals,
    )
    updates = OutboxUpdates(pool, relay_id)
    dispatcher = Dispatcher(
        reader=OutboxReader(pool, settings.next_event_after, most_bytes=settings.message_bytes),
        updates=updates,
        lanes=lanes,
        backlog=backlog,
        clock=clock,
        metrics=metrics,
    )
    relay = Relay(
        dispatcher,
        publisher,
        lanes,
        backlog,
        calls_in_flight=settings.batches_in_flight,
        idle_seconds=settings.poll_idle_seconds,
        is_listening=lambda: listener.trouble is None,
        is_announced=lambda: wal is not None and wal.source.current and listener.trouble is None,
        clock=clock,
        metrics=metrics,
        signals=signals,
    )
    listener = _listener(settings, relay_id, pool, relay, lanes, on_lanes_notification, signals)
    wal: SourceParts | None = None
    if settings.source is OutboxSource.WAL:
        # The only part that needs psycopg.
        from .source_assembly import create_source

        wal = create_source(settings, pool, relay_id, lanes, relay, metrics, signals)
    return _Publishing(relay, publisher, identity, lanes, listener, updates, wal)


def _listener(
    settings: RelaySettings,
    relay_id: UUID,
    pool: Pool,
    relay: Relay,
    lanes: Lanes,
    on_lanes: Callable[[], None],
    signals: Signals,
) -> OutboxListener:
    url = (settings.listener_database_url or settings.database_url).get_secret_value()
    return OutboxListener(url, relay_id, pool, on_event=relay.wake, on_lanes=on_lanes, owns=lanes.owns, signals=signals)


def _confirmation(
    settings: RelaySettings,
    connections: Connections,
    broker: BrokerParts,
    publishing: _Publishing,
    metrics: RelayMetrics,
    signals: Signals,
    thresholds: SweepThresholds,
) -> _ConfirmationParts:
    relay, groups_wait = publishing.relay, settings.next_event_after is NextEventAfter.CONFIRMED
    empty_queue = EmptyQueueObservations(thresholds.in_queue_after)
    publish_check = PublishCheck(
        broker.publish_check,
        publishing.updates,
        wait_seconds=settings.publish_check_wait_seconds,
        record_at_once=groups_wait,
        acknowledgements=relay.acknowledgements,
        metrics=metrics,
        signals=signals,
        on_published=relay.wake if groups_wait else lambda: None,
        # A queue that cannot be read may belong to a recreated broker.
        on_trouble=publishing.identity.recheck,
        on_delivered=relay.delivered if broker.tells_times else None,
        empty_queue=empty_queue,
        counts=broker.counts,
    )
    sweeper = Sweeper(
        connections.pool,
        thresholds,
        may_sweep=lambda: publishing.lanes.may_send(JOB_LANE),
        metrics=metrics,
        signals=signals,
        on_returned=relay.wake,
        queue_empty_for=lambda: empty_queue.since(time.monotonic()),
        can_send=lambda: relay.outage is None,
    )
    return _ConfirmationParts(publish_check, sweeper, ControlMonitor(connections.pool, metrics))


def _operators(
    settings: RelaySettings, connections: Connections, broker: BrokerParts, publishing: _Publishing
) -> OperatorServices:
    pool = connections.operator_pool
    return OperatorServices(
        overview=Overview(pool, lease_seconds=settings.lease_seconds),
        groups=MessageGroups(pool),
        operations=Operations(pool, call_seconds=settings.call_seconds),
        broker_acceptance=BrokerAcceptance(pool),
        topology=broker.topology,
        source=publishing.source,
        slot=settings.slot,
    )


def _readiness(
    pool: Pool, publishing: _Publishing, confirmation: _ConfirmationParts, overview: Overview
) -> HealthState:
    control = confirmation.control
    return HealthState(
        find_outbox=lambda: find_outbox(pool),
        find_topic=publishing.publisher.check,
        outage=lambda: publishing.relay.outage,
        publish_check=lambda: confirmation.publish_check.trouble or control.check,
        lease=lambda: publishing.lanes.trouble,
        paused=overview.paused,
        identity=lambda: control.broker or publishing.identity.trouble,
        listener=lambda: publishing.listener.trouble,
        source=lambda: (found.trouble or found.pressure) if (found := publishing.source()) else None,
    )
