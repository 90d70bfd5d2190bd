"""A service with a REST API that publishes events through its outbox and consumes those of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .broker.names import BrokerNames
from .broker.topology import ConsumerTopology
from .catalog.messaging import Messaging
from .catalog.routes import catalog_routes
from .clock import Clock, SystemClock
from .consumer.build import Consuming, Subscription, consumer_engine, consuming
from .consumer.router import Router
from .consumer.settings import ConsumerSettings
from .contracts.payload import EventPayload
from .contracts.schema import SCHEMAS_URL
from .database.connections import autocommit, create_engine, limit_waits
from .http.application import create_app
from .http.authorization import authenticator, requires_tokens
from .http.database import database_checks
from .http.health import HealthCheck
from .http.problems import ProblemTranslation
from .idempotency.metrics import IdempotencyMetrics
from .idempotency.pruner import KeyPruner
from .idempotency.response_store import ResponseStore
from .idempotency.schema import TABLE
from .idempotency.transactions import session_transactions
from .inbox.connections import InboxConnections
from .inbox.redrive_loop import RedriveLoop
from .inbox.redrives import Redrives
from .lifecycle import Loop
from .observability.metrics import new_registry
from .observability.runtime_metrics import DatabaseMetrics, LoopMetrics
from .operations_api import routes as operations_routes
from .operations_api.process import ProcessFacts
from .outbox.metrics import OutboxMetrics
from .outbox.monitor import OutboxMonitor
from .outbox.notifier import OutboxNotifier
from .service import Lifecycle
from .signals import Signals


class EventService:
    """What the services of this kind have in common, assembled from their settings.

    A service creates one, calls `use_outbox` and `consume`, and takes its `application`. Nothing connects before the
    application starts, and whatever is unavailable then is waited for. Raises ConfigurationError when the settings
    contradict each other.
    """

    def __init__(
        self,
        name: str,
        settings: ConsumerSettings,
        *,
        migrations: str,
        asyncapi: Path,
        pool_size: int,
        signals: Signals | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`migrations` is the package of the service's Alembic migrations, and `asyncapi` the file of its AsyncAPI
        document. `pool_size` is that of the API's engine.
        """
        self._authenticator = authenticator(settings)
        self._name = name
        self._settings = settings
        self._url = settings.database_url.get_secret_value()
        self._clock = clock or SystemClock()
        self._started_at = self._clock.now()
        self._asyncapi = asyncapi
        self._domain: str | None = None
        self._events: tuple[type[EventPayload], ...] = ()
        self._schemas_url = SCHEMAS_URL
        self._subscription: tuple[Subscription, Router] | None = None
        self._after_commit = _nothing
        self.signals = signals or Signals()
        self.registry = new_registry()
        self._engine = limit_waits(create_engine(self._url, application_name=f"{name}-api", pool_size=pool_size))
        self.sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(self._engine, expire_on_commit=False)
        """Sessions of the API."""
        self.connections = partial(autocommit, self._engine)
        """The API's connections, from the same pool, on which each statement is a transaction of its own."""
        # A separate engine: the API answers even while every connection of the handlers is in use.
        self._consumer_engine = consumer_engine(settings, application_name=f"{name}-consumer")
        self.consumer_sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self._consumer_engine, expire_on_commit=False
        )
        """Sessions of the event handlers."""
        self.consumer_connections = InboxConnections(self.consumer_sessions, kept=settings.options.concurrency)
        """Connections of the event handlers."""
        self._database_metrics = DatabaseMetrics(self.registry)
        self._database_metrics.watch_engine("api", self._engine)
        self._database_metrics.watch_engine("consumer", self._consumer_engine)
        self._responses = ResponseStore(
            TABLE, hours=settings.idempotency_hours, metrics=IdempotencyMetrics(self.registry)
        )
        self._redrives = Redrives(self.sessions, name)
        self._loops: list[Loop] = [
            KeyPruner(self._responses, session_transactions(self.sessions), signals=self.signals),
            RedriveLoop(self._redrives, signals=self.signals),
        ]
        self._checks: list[HealthCheck] = [*database_checks(self._engine, migrations)]
        self._lifecycle = Lifecycle(
            self._assemble,
            drain_seconds=settings.drain_seconds,
            signals=self.signals,
            metrics=LoopMetrics(self.registry),
        )

    def use_outbox(
        self, domain: str, events: Sequence[type[EventPayload]], *, schemas_url: str = SCHEMAS_URL, notify: bool = True
    ) -> Callable[[], None]:
        """Publish these events as those of `domain` through the outbox, and observe it.

        `schemas_url` is that of the outbox writer; the service serves the schemas of the events. Without `notify`,
        relays find events by polling or in the write-ahead log.

        Returns the function to call after each commit that recorded an event: it wakes the relay.
        """
        self._domain, self._events, self._schemas_url = domain, tuple(events), schemas_url
        notifier = OutboxNotifier(self._url)
        monitor = OutboxMonitor(
            self._url,
            OutboxMetrics(self.registry),
            database_metrics=self._database_metrics,
            topic=BrokerNames(self._settings.topology_prefix).topic(domain),
            report=self._settings.cloudwatch_metrics,
            signals=self.signals,
        )
        self._loops += [notifier, monitor] if notify else [monitor]
        self._checks.append(HealthCheck("outbox", monitor.check, required=False))
        self._after_commit = notifier.notify if notify else _nothing
        return self._after_commit

    def consume(self, subscription: Subscription, router: Router, *, required: bool = True) -> None:
        """Consume a queue with these handlers.

        With `required=False` the service counts as ready while it cannot consume.
        """
        router.override(self._settings.policies, setting="FAILURE_POLICIES")
        self._subscription = (subscription, router)
        self._checks.append(HealthCheck("queue", self._lifecycle.check(_queue_trouble), required))

    def application(
        self,
        *,
        title: str,
        description: str,
        routers: Sequence[APIRouter] = (),
        translation: ProblemTranslation | None = None,
        state: Mapping[str, object] | None = None,
        loops_required: bool = True,
    ) -> FastAPI:
        """The application: the service's own routers, and those with which operators resolve messages."""

        async def loops() -> str | None:
            return self._lifecycle.unhealthy_loops()

        subscription, router = self._subscription or (None, None)
        messaging = Messaging(
            service=self._name,
            title=title,
            description=description,
            document=self._asyncapi,
            domain=self._domain,
            events=self._events,
            schemas_url=self._schemas_url,
            subscription=subscription,
            router=router,
        )
        catalog = catalog_routes(messaging, prefix=self._settings.topology_prefix)

        return create_app(
            title=title,
            description=description,
            routers=[*routers, *operations_routes.routers(publishes=self._domain is not None), catalog],
            authenticator=self._authenticator,
            registry=self.registry,
            checks=(*self._checks, HealthCheck("loops", loops, loops_required)),
            lifespan=self._lifecycle,
            translation=translation,
            state={
                **(state or {}),
                "messaging": messaging,
                **operations_routes.consumer_state(
                    self.sessions,
                    self._name,
                    self._responses,
                    self._redrives,
                    [route.payload for route in router.routes] if router else (),
                ),
                **operations_routes.publisher_state(
                    self.sessions if self._domain is not None else None, self._name, self._events
                ),
                "process": self._facts(),
                "read_topology": self._read_topology,
            },
        )

    def _facts(self) -> ProcessFacts:
        names = BrokerNames(self._settings.topology_prefix)
        subscription = self._subscription[0] if self._subscription else None
        return ProcessFacts(
            name=self._name,
            kind="service",
            clock=self._clock,
            started_at=self._started_at,
            topology_prefix=names.prefix,
            aws_region=self._settings.aws_region,
            aws_endpoint_url=self._settings.aws_endpoint_url,
            publishes=None if self._domain is None else names.topic(self._domain),
            consumes=None if subscription is None else names.topic(subscription.domain),
            authentication=requires_tokens(self._authenticator),
        )

    async def _read_topology(self) -> ConsumerTopology:
        consuming = self._lifecycle.parts
        deployment = consuming.deployment if consuming else None
        return await deployment.describe() if deployment else ConsumerTopology()

    async def _assemble(self, stack: AsyncExitStack) -> tuple[Consuming | None, Sequence[Loop]]:
        stack.push_async_callback(self._engine.dispose)
        stack.push_async_callback(self._consumer_engine.dispose)
        if self._subscription is None:
            return None, self._loops
        parts = await stack.enter_async_context(
            consuming(
                *self._subscription,
                self._settings,
                self.consumer_sessions,
                self.registry,
                self.signals,
                after_commit=self._after_commit,
                connections=self.consumer_connections,
            )
        )
        return parts, (*self._loops, *parts.loops)


def _queue_trouble(consuming: Consuming | None) -> str | None:
    return consuming.consumer.trouble if consuming else None


def _nothing() -> None:
    """Do nothing after a commit: the service publishes no events."""
