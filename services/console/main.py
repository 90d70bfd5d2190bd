"""The console as a process: `python -m services.console.main`."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # until everything is imported: see event_trio.service.run

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from event_trio.http.authorization import authenticator, requires_tokens
from event_trio.http.health import HealthCheck
from event_trio.http.rate_limit import RateLimit
from event_trio.http_client.client import async_client
from event_trio.lifecycle import Loop
from event_trio.observability.metrics import new_registry
from event_trio.observability.runtime_metrics import LoopMetrics
from event_trio.service import Lifecycle
from event_trio.service import run as run_service
from event_trio.signals import Signals

from .api_clients.catalog import CatalogMemory
from .api_clients.metrics import CallMetrics
from .api_clients.processes import Processes
from .api_clients.samples import MetricSampler
from .api_clients.system import Reads
from .api_clients.transport import ApiTransport
from .application import create_console
from .pages import (
    catalog,
    event,
    failures,
    find,
    journey,
    message,
    outbox,
    outbox_changes,
    overview,
    redrives,
    relays,
    replays,
    resolutions,
    sign_in,
    tail,
)
from .pages.state import PageState
from .settings import ConsoleSettings
from .web.assets import Assets
from .web.frame import Frame
from .web.languages import Languages
from .web.rendering import components, environment
from .web.sections import NavigationEntry
from .web.sessions import SessionStore
from .web.streams import Streams

SIGN_INS_PER_MINUTE = 20
SESSION_COOKIE = "console_session"
SECTIONS = (
    NavigationEntry("overview", "/"),
    NavigationEntry("find", "/find"),
    NavigationEntry("dead_letters", "/dead-letters"),
    NavigationEntry("outbox", "/outbox"),
    NavigationEntry("relays", "/relays"),
    NavigationEntry("catalog", "/catalog"),
    NavigationEntry("tail", "/tail"),
)
"""The navigation, in its order."""
ROUTERS = (
    *(sign_in.router, overview.router, find.router, journey.router, event.router, relays.router, catalog.router),
    *(failures.router, message.router, redrives.router, resolutions.router),
    *(outbox.router, outbox_changes.router, replays.router),
    tail.router,
)


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What exists while the console runs."""

    http: httpx.AsyncClient


def build(settings: ConsoleSettings, *, http: httpx.AsyncClient | None = None) -> FastAPI:
    """The console's application. It starts whatever services answer.

    Raises ConfigurationError if the settings contradict each other. `http` calls the services instead of a new client.
    """
    registry, signals = new_registry(), Signals(kept=0)
    known = authenticator(settings)
    processes = Processes(settings.processes)
    client = http or async_client([process.url for process in processes], timeout=settings.call_seconds)
    transport = ApiTransport(
        client, CallMetrics(registry), read_seconds=settings.call_seconds, change_seconds=settings.change_seconds
    )
    sampler = MetricSampler(processes, transport, starting_seconds=settings.starting_seconds)
    templates, secure = environment(), settings.cookies_are_secure
    frame = Frame(
        environment=templates,
        components=components(templates),
        languages=Languages(),
        assets=Assets(),
        sessions=SessionStore(
            longest_seconds=settings.session_hours * 3600, idle_seconds=settings.session_idle_minutes * 60
        ),
        streams=Streams(),
        sections=SECTIONS,
        processes=processes,
        reads=Reads(transport),
        transport=transport,
        authenticator=known,
        sign_ins=RateLimit(SIGN_INS_PER_MINUTE),
        is_local=not requires_tokens(known),
        # Browsers accept the prefix only from the host itself, over an encrypted connection, for all paths.
        session_cookie=f"__Host-{SESSION_COOKIE}" if secure else SESSION_COOKIE,
        cookies_are_secure=secure,
        refresh_seconds=settings.refresh_seconds,
        trace_url=settings.trace_url,
    )

    async def create_parts(stack: AsyncExitStack) -> tuple[ConsoleParts, Sequence[Loop]]:
        stack.push_async_callback(client.aclose)
        return ConsoleParts(client), (sampler,)

    lifecycle = Lifecycle(
        create_parts, drain_seconds=settings.drain_seconds, signals=signals, metrics=LoopMetrics(registry)
    )

    async def loops() -> str | None:
        return lifecycle.unhealthy_loops()

    app = create_console(settings, frame, ROUTERS, registry, [HealthCheck("loops", loops)], lifecycle)
    app.state.pages = PageState(CatalogMemory(), sampler)
    return app


async def _ensure_startable(settings: ConsoleSettings) -> None:
    """The console depends on nothing that could make a start useless."""


def run() -> None:
    """Serve until SIGTERM or SIGINT."""
    run_service("console", ConsoleSettings, build, _ensure_startable)


if __name__ == "__main__":
    run()
