"""The relay as a process: `python -m services.relay.main`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from event_trio.broker.aws import Aws, ensure_usable, sns, sqs, topic_arn
from event_trio.broker.names import BrokerNames
from event_trio.broker.queue import Queue
from event_trio.clock import SystemClock
from event_trio.database.connections import Pool, create_pool
from event_trio.envelope import uuid7
from event_trio.errors import ConfigurationError
from event_trio.http.application import create_app
from event_trio.http.authorization import authenticator
from event_trio.http.server import serve
from event_trio.idempotency.metrics import IdempotencyMetrics
from event_trio.idempotency.pruner import KeyPruner
from event_trio.idempotency.response_store import ResponseStore
from event_trio.idempotency.transactions import pool_transactions
from event_trio.lifecycle import Loop, Supervisor
from event_trio.observability import logging
from event_trio.observability.metrics import new_registry
from event_trio.outbox.schema import KEYS
from event_trio.settings import fail, load
from event_trio.signals import Signals

from .api import inspection, operations
from .api.problems import translation
from .api.readiness import Readings, checks
from .confirmation.broker_identity import BrokerIdentity
from .confirmation.control_monitor import ControlMonitor
from .confirmation.empty_queue import EmptyQueueObservations
from .confirmation.publish_check import PublishCheck
from .confirmation.sweeper import Sweeper, SweepThresholds
from .jobs.audit_pruner import AuditPruner
from .jobs.gauge import BacklogGauge
from .jobs.pruner import Pruner
from .leases.lanes import Lanes
from .leases.listener import OutboxListener
from .metrics import RelayMetrics
from .operators.broker_acceptance import BrokerAcceptance
from .operators.holds import Holds
from .operators.message_groups import MessageGroups
from .operators.operations import Operations
from .operators.overview import Overview
from .operators.releases import Releases
from .operators.replays import Replays
from .publishing.backlog import Backlog, NextEventAfter
from .publishing.dispatcher import Dispatcher
from .publishing.outbox_reader import OutboxReader, find_outbox
from .publishing.outbox_updates import OutboxUpdates
from .publishing.publisher import Publisher
from .publishing.relay import Relay, RelayOptions
from .settings import RelaySettings

log = structlog.get_logger(__name__)

CONNECTIONS = 6
# How long sending waits for the check queue, where a new broker is given everything again.
CHECK_WAIT_SECONDS = 10.0
# Of the SDK's, beyond those of the calls in flight: the readiness page asks, too.
SPARE_CONNECTIONS = 4
# Of its own for the lease: it is renewed in time, whatever sweeps and replays do with the others.
LEASE_CONNECTIONS = 1
# Apart from the others: whatever an operator asks for, the relay's own work has its connections.
OPERATOR_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs, what the readiness page asks, and what the routes work with."""

    supervisor: Supervisor
    readings: Readings
    routes: Mapping[str, object]
    leave: Callable[[], Awaitable[None]]


def build(
    settings: RelaySettings, *, signals: Signals | None = None, thresholds: SweepThresholds | None = None
) -> FastAPI:
    """The relay, wired; it connects when the application starts, and waits for whatever is not there yet.

    Raises ConfigurationError when the settings do not go together.
    """
    if settings.call_seconds > settings.lease_seconds * 2 / 3:
        raise ConfigurationError(
            f"CALL_SECONDS ({settings.call_seconds:g}) may be two thirds of LEASE_SECONDS "
            f"({settings.lease_seconds:g}) at the most: the lease is renewed in time, and a call that could outlast "
            "it does not begin; make CALL_SECONDS smaller or LEASE_SECONDS larger"
        )
    known = authenticator(settings)
    registry = new_registry()
    signals = signals or Signals()
    parts: list[Parts] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            made = await _assemble(
                settings, registry, signals, thresholds or SweepThresholds(sweep=settings.sweep_seconds), stack
            )
            parts.append(made)
            for name, value in made.routes.items():
                setattr(app.state, name, value)
            await made.supervisor.start()
            log.info("relay started", action="service.started", topic=settings.topic)
            try:
                yield
            finally:
                await made.supervisor.stop()
                # As a rule the relay has done so itself; not, if it was between two starts.
                await made.leave()
                parts.clear()
                log.info("relay stopped", action="service.stopped", topic=settings.topic)

    return create_app(
        title=f"Relay of {settings.topic}",
        description="Carries recorded events to their topic, in order, and knows that they arrived.",
        routers=[inspection.router, operations.router],
        authenticator=known,
        registry=registry,
        checks=checks(lambda: parts[0].readings if parts else None),
        lifespan=lifespan,
        translation=translation(),
    )


async def _assemble(
    settings: RelaySettings,
    registry: CollectorRegistry,
    signals: Signals,
    thresholds: SweepThresholds,
    stack: AsyncExitStack,
) -> Parts:
    clock, metrics, relay_id = SystemClock(), RelayMetrics(registry), uuid7()
    aws = Aws(settings.aws_region, settings.aws_endpoint_url)
    names = BrokerNames(settings.topology_prefix)
    url = settings.database_url.get_secret_value()
    listen_url = (settings.listener_database_url or settings.database_url).get_secret_value()

    pool: Pool = await stack.enter_async_context(create_pool(url, application_name="relay", max_size=CONNECTIONS))
    lease_pool: Pool = await stack.enter_async_context(
        create_pool(url, application_name="relay-lease", max_size=LEASE_CONNECTIONS)
    )
    topic_client = await stack.enter_async_context(
        sns(aws, call_seconds=settings.call_seconds, connections=settings.batches_in_flight + SPARE_CONNECTIONS)
    )
    queue_client = await stack.enter_async_context(sqs(aws, call_seconds=settings.call_seconds))
    check_queue = Queue(queue_client, names.publish_check(settings.topic))
    identity = BrokerIdentity(
        pool,
        check_queue,
        relay_id=relay_id,
        automatic=settings.replays_by_itself,
        on_new=lambda: publisher.recheck_broker(),
        signals=signals,
    )
    publisher = Publisher(
        topic_client,
        check_queue,
        names.topic(settings.topic),
        call_seconds=settings.call_seconds,
        identify=identity.identify,
        find_arn=lambda: topic_arn(aws, names.topic(settings.topic), call_seconds=settings.call_seconds / 2),
        # Only there it matters which goes first: what a new broker lost, or what is new.
        check_wait_seconds=CHECK_WAIT_SECONDS if settings.replays_by_itself else 0.0,
    )

    updates = OutboxUpdates(pool, relay_id)
    backlog = Backlog(settings.next_event_after, batch_bytes=settings.message_bytes)
    lanes = Lanes(
        lease_pool,
        relay_id,
        lease_seconds=settings.lease_seconds,
        call_seconds=settings.call_seconds,
        clock=clock,
        busy=backlog.busy,
        signals=signals,
    )
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
        options=RelayOptions(settings.batches_in_flight, settings.poll_idle_seconds),
        is_listening=lambda: listener.trouble is None,
        clock=clock,
        metrics=metrics,
        signals=signals,
    )
    empty_queue = EmptyQueueObservations(thresholds.in_queue_after)
    publish_check = PublishCheck(
        check_queue,
        updates,
        wait_seconds=settings.publish_check_wait_seconds,
        record_at_once=settings.next_event_after is NextEventAfter.CONFIRMED,
        metrics=metrics,
        signals=signals,
        # Only then does a group wait for it.
        on_published=relay.wake if settings.next_event_after is NextEventAfter.CONFIRMED else lambda: None,
        # The check's trouble is its own; but behind it there may be another broker.
        on_trouble=identity.recheck,
        empty_queue=empty_queue,
    )
    sweeper = Sweeper(
        pool,
        thresholds,
        may_sweep=lanes.may_send,
        metrics=metrics,
        signals=signals,
        on_returned=relay.wake,
        queue_empty_for=lambda: empty_queue.since(time.monotonic()),
        can_send=lambda: relay.outage is None,
    )
    control = ControlMonitor(pool, metrics)
    holds = Holds(pool, may_work=lanes.may_send, metrics=metrics, signals=signals)
    replays = Replays(pool, may_work=lanes.may_send, metrics=metrics, signals=signals)
    releases = Releases(pool, may_work=lanes.may_send, signals=signals)

    def wake() -> None:
        lanes.wake()
        replays.wake()
        releases.wake()

    listener = OutboxListener(listen_url, relay_id, pool, on_event=relay.wake, on_lanes=wake, signals=signals)
    pruner = Pruner(pool, retention_hours=settings.retention_hours, metrics=metrics, signals=signals)
    audit_pruner = AuditPruner(pool, retention_days=settings.audit_retention_days, signals=signals)
    responses = ResponseStore(KEYS, hours=settings.idempotency_hours, metrics=IdempotencyMetrics(registry))
    key_pruner = KeyPruner(responses, pool_transactions(pool), signals=signals)
    gauge = BacklogGauge(pool, metrics, lanes=lambda: len(lanes.owned()))
    loops: list[Loop] = [lanes, relay, publish_check, identity, sweeper, control, holds, replays, releases]
    loops += [pruner, audit_pruner, key_pruner, listener, gauge]
    supervisor = Supervisor(
        loops,
        drain_seconds=settings.drain_seconds,
        signals=signals,
    )
    operators: Pool = await stack.enter_async_context(
        create_pool(url, application_name="relay-operators", max_size=OPERATOR_CONNECTIONS)
    )
    overview = Overview(operators, lease_seconds=settings.lease_seconds)
    readings = Readings(
        find_outbox=lambda: find_outbox(pool),
        find_topic=publisher.check,
        outage=lambda: relay.outage,
        publish_check=lambda: publish_check.trouble or control.check,
        lease=lambda: lanes.trouble,
        paused=overview.paused,
        identity=lambda: control.broker or identity.trouble,
        listener=lambda: listener.trouble,
        loops=supervisor.unhealthy,
    )
    routes = {
        "overview": overview,
        "groups": MessageGroups(operators),
        "broker_acceptance": BrokerAcceptance(operators),
        "operations": Operations(operators, call_seconds=settings.call_seconds),
        "responses": responses,
    }
    return Parts(supervisor, readings, routes, relay.leave)


def run() -> None:
    """Serve until told to stop."""
    settings = load(RelaySettings)
    logging.configure("relay", settings.log_level, settings.log_format)
    try:
        asyncio.run(ensure_usable(Aws(settings.aws_region, settings.aws_endpoint_url)))
        app = build(settings)
    except ConfigurationError as error:
        fail(str(error))
    serve(app, settings)


if __name__ == "__main__":
    run()
