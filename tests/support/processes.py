"""Services as processes, as in production."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import forking
from tests.support.forking import ForkedChild
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0


@dataclass(frozen=True)
class ServiceProcess:
    """A running service and a client of it."""

    process: ChildProcess
    api: httpx.AsyncClient


def child(module: str, environment: Mapping[str, str], folder: Path, *, forked: bool = False) -> ChildProcess:
    """`python -m module` with this environment only, not started yet; its log is in `folder`.

    It is a new interpreter or, where forks are available, a fork of one that has imported the services' libraries.
    """
    command = Command(
        name=module,
        arguments=[sys.executable, "-m", module],
        log=folder / f"{module}.log",
        environment={**base_environment(), **environment},
        folder=ROOT,
    )
    return ForkedChild(command) if forked and forking.AVAILABLE else ChildProcess(command)


@asynccontextmanager
async def service_process(
    module: str, environment: Mapping[str, str], folder: Path, *, port: int | None = None, forked: bool = True
) -> AsyncIterator[ServiceProcess]:
    """Start a service on `port`, or any free one, wait until it answers, and stop it at the end.

    Where the start itself is tested, `forked` is false: then a new interpreter runs it, as in production.
    """
    port = port or free_port()
    process = child(module, {"HTTP_PORT": str(port), **environment}, folder, forked=forked)
    process.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=10.0) as api:
            await wait_until_alive(process, api)
            yield ServiceProcess(process, api)
    finally:
        await process.stop()


async def wait_until_alive(process: ChildProcess, api: httpx.AsyncClient) -> None:
    """Wait until the service answers. Raises EmbeddedServerFailed when its process ends."""

    async def is_alive() -> bool:
        if process.status is not None:
            raise process.failure("ended before it answered")
        try:
            return (await api.get("/livez")).is_success
        except httpx.TransportError:
            return False

    await eventually(is_alive, timeout=START_SECONDS)


@asynccontextmanager
async def together(
    *processes: AbstractAsyncContextManager[ServiceProcess],
) -> AsyncIterator[tuple[ServiceProcess, ...]]:
    """Start services concurrently, and stop them concurrently."""
    begun = await asyncio.gather(*(process.__aenter__() for process in processes), return_exceptions=True)
    try:
        for found in begun:
            if isinstance(found, BaseException):
                raise found
        yield tuple(found for found in begun if isinstance(found, ServiceProcess))
    finally:
        running = [
            process for process, found in zip(processes, begun, strict=True) if isinstance(found, ServiceProcess)
        ]
        await asyncio.gather(*(process.__aexit__(None, None, None) for process in running))
