"""Starts the servers and services of the demo in order, and stops them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from event_trio.database.connections import connect
from tools.declared_services import DeclaredService
from tools.demo.errors import DemoFailed
from tools.demo.ports import Ports
from tools.demo.processes import Program, ServiceProgram
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.ports import LOOPBACK
from tools.embedded.postgres import EmbeddedPostgres

Step = Callable[[str], AbstractContextManager[None]]

# Short, so that Ctrl-C does not wait long for the last receive call.
QUEUE_WAIT_SECONDS = "2"
POLL_SECONDS = 0.2


class Restartable(Protocol):
    """A process that can be restarted."""

    @property
    def name(self) -> str:
        """The name of the process."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the process was started and ended without being stopped."""
        ...

    async def start(self) -> None:
        """Start the process."""
        ...

    async def stop(self) -> None:
        """Release the resources of the process."""
        ...


@dataclass(frozen=True)
class System:
    """The running processes."""

    services: tuple[ServiceProgram, ...]
    console: ServiceProgram
    watcher: Program
    postgres: EmbeddedPostgres
    localstack: EmbeddedLocalStack

    @property
    def programs(self) -> tuple[Program, ...]:
        """The processes of the project."""
        return (*self.services, self.console, self.watcher)

    async def ready(self) -> None:
        """Wait until all services are ready. Raises DemoFailed when one is not, or when a process ended."""
        watching = asyncio.create_task(self.watch())
        waiting = asyncio.create_task(run_together(*(service.ready() for service in (*self.services, self.console))))
        try:
            done, _ = await asyncio.wait([watching, waiting], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            watching.cancel()
            waiting.cancel()

    async def watch(self) -> None:
        """Never returns. Raises DemoFailed when a process ends."""
        while True:
            for program in self.programs:
                program.ensure_running()
            await asyncio.sleep(POLL_SECONDS)

    async def restart_ended(self, notify: Callable[[str], None]) -> None:
        """Restart processes that end, as a container platform does; never returns.

        Raises EmbeddedServerFailed when a server cannot be restarted.
        """
        processes: tuple[Restartable, ...] = (self.postgres, self.localstack, *self.programs)
        # Each by itself: LocalStack takes long to start, and the others do not wait for it.
        await run_together(*(_restart_ended(process, notify) for process in processes))


async def _restart_ended(process: Restartable, notify: Callable[[str], None]) -> None:
    while True:
        if process.has_ended:
            notify(f"{process.name} ended and is being restarted")
            await process.stop()
            await process.start()
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def run_system(
    folder: Path, declared: Sequence[DeclaredService], ports: Ports, step: Step, *, keep: bool
) -> AsyncIterator[System]:
    """Run every declared service and its relay until the end of the block; `step` shows the progress.

    Raises EmbeddedServerFailed or DemoFailed when a part cannot be started.
    """
    ports.ensure_distinct()
    ports.ensure_free()
    logs = _open_folder(folder)
    postgres = EmbeddedPostgres(
        folder / "postgres", port=ports.postgres.number, port_variable=ports.postgres.variable, fresh=not keep
    )
    localstack = EmbeddedLocalStack(
        folder / "localstack", port=ports.localstack.number, port_variable=ports.localstack.variable
    )
    services = tuple(
        program for service in declared for program in _programs(service, logs, ports, localstack.endpoint_url)
    )
    console = ServiceProgram("console", "services.console.main", logs, _console(ports), ports.console)
    watcher = Program("topology", "infra.localstack.watch", logs, {"AWS_ENDPOINT_URL": localstack.endpoint_url})

    async def prepare_databases(servers: AsyncExitStack) -> None:
        with step("Postgres"):
            await servers.enter_async_context(postgres)
        with step("databases and roles"):
            await run_together(*(_migrate(postgres.admin_url, service, logs) for service in declared))
        for service in services:
            await service.start()

    async def prepare_broker(servers: AsyncExitStack) -> None:
        with step("LocalStack"):
            await servers.enter_async_context(localstack)
        await watcher.start()

    system = System(services, console, watcher, postgres, localstack)
    async with AsyncExitStack() as servers:
        try:
            # It needs nothing, and shows how the others start.
            await console.start()
            await run_together(prepare_databases(servers), prepare_broker(servers))
            with step("topics, queues and services"):
                await system.ready()
            yield system
        finally:
            with step("stopping"):
                await asyncio.gather(*(program.stop() for program in system.programs))


async def run_together(*work: Coroutine[object, object, object]) -> None:
    """Run coroutines concurrently; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in work:
                group.create_task(part)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _open_folder(folder: Path) -> Path:
    try:
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for log in logs.glob("*.log"):
            log.unlink()
    except OSError as error:
        raise DemoFailed(
            f"The data folder cannot be used: {error.filename}: {error.strerror}. Make it a writable folder, or "
            f"remove it (rm -rf {folder}); it is recreated."
        ) from error
    return logs


def _programs(service: DeclaredService, logs: Path, ports: Ports, endpoint_url: str) -> Iterator[ServiceProgram]:
    def connections(role: str) -> dict[str, str]:
        url = f"postgresql://{service.name}_{role}@{LOOPBACK}:{ports.postgres.number}/{service.database}"
        return {"DATABASE_URL": url, "AWS_ENDPOINT_URL": endpoint_url}

    urls = {name: port.url for name, port in ports.services.items()}
    own = {name: value.format_map(urls) for name, value in service.environment.items()}
    environment = {**connections("api"), "QUEUE_WAIT_SECONDS": QUEUE_WAIT_SECONDS, **own}
    yield ServiceProgram(service.name, f"services.{service.name}.main", logs, environment, ports.services[service.name])
    if service.publishes is not None:
        relay = {
            **connections("relay"),
            "PUBLISH_CHECK_WAIT_SECONDS": QUEUE_WAIT_SECONDS,
            "TOPIC": service.publishes,
        }
        yield ServiceProgram(f"{service.name}-relay", "services.relay.main", logs, relay, ports.relays[service.name])


def _console(ports: Ports) -> dict[str, str]:
    """The settings of the console: every service and relay of this demo."""
    return {"EVENT_TRIO_SERVICES": ",".join(f"{name}={url}" for name, url in ports.processes.items())}


async def _migrate(admin_url: str, service: DeclaredService, logs: Path) -> None:
    connection = await connect(admin_url)
    try:
        with suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(f"CREATE DATABASE {service.database}")
    finally:
        await connection.close()
    url = f"{admin_url.rpartition('/')[0]}/{service.database}"
    environment = {"MIGRATION_DATABASE_URL": url}
    await Program(f"{service.name}-migration", f"services.{service.name}.migrate", logs, environment).finish()
