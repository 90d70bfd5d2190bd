"""Postgres and LocalStack in containers, with testcontainers."""

import os
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import httpx

from event_trio.database.connections import connect
from tests.support.waiting import eventually, run
from tools.embedded.localstack import SERVICES
from tools.embedded.ports import free_port
from tools.embedded.postgres import SETTINGS

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

POSTGRES_IMAGE = "postgres:17"
LOCALSTACK_IMAGE = "localstack/localstack:4.14.0"
READY_SECONDS = 90.0
REQUIRED = "TEST_REQUIRE_CONTAINERS"


class ContainersMissing(Exception):
    """Containers are required and not available."""


def required() -> bool:
    """Whether tests must use containers, so that their use is tested."""
    return os.environ.get(REQUIRED, "").strip() not in ("", "0")


@cache
def available() -> bool:
    """Whether a Docker daemon answers."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    import docker  # imported late, because it takes a third of a second

    try:
        client = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


def start_postgres() -> AbstractContextManager[str]:
    """Start a server; the context manager returns its URL and stops it."""
    from testcontainers.community.postgres import PostgresContainer

    flags = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    container = (
        PostgresContainer(POSTGRES_IMAGE, username="postgres", password="postgres", dbname="postgres", driver=None)
        .with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_command(f"postgres {flags}")
    )
    return _started(container, container.get_connection_url, _connects)


def start_localstack() -> AbstractContextManager[str]:
    """Start a server; the context manager returns its endpoint URL and stops it."""
    from testcontainers.community.localstack import LocalStackContainer

    port = free_port()  # chosen here, because it is part of the URLs of queues
    container = (
        LocalStackContainer(LOCALSTACK_IMAGE, region_name="us-east-1")
        .with_services(*SERVICES)
        .with_env("LOCALSTACK_HOST", f"localhost:{port}")
        .with_env("EAGER_SERVICE_LOADING", "1")
        .with_env("SQS_ENDPOINT_STRATEGY", "path")
        .with_env("SQS_ENABLE_MESSAGE_RETENTION_PERIOD", "1")
        .with_env("DISABLE_EVENTS", "1")
        .with_env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .with_env("LS_LOG", "warning")
        .with_bind_ports(4566, port)
    )
    return _started(container, container.get_url, _healthy)


def _started(
    container: "DockerContainer", url: Callable[[], str], ready: Callable[[str], Awaitable[bool]]
) -> AbstractContextManager[str]:
    # Outside of the context manager, so that a failure is raised before it is entered.
    try:
        with warnings.catch_warnings():
            # The module for LocalStack uses a deprecated function of testcontainers.
            warnings.simplefilter("ignore", DeprecationWarning)
            container.start()
        address = url()
        run(eventually(lambda: ready(address), timeout=READY_SECONDS))
    except BaseException:
        container.stop()
        raise
    return _stopped_at_exit(container, address)


@contextmanager
def _stopped_at_exit(container: "DockerContainer", url: str) -> Iterator[str]:
    try:
        yield url
    finally:
        container.stop()


async def _connects(url: str) -> bool:
    try:
        connection = await connect(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return False
    await connection.close()
    return True


async def _healthy(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        try:
            answer = await client.get(f"{url}/_localstack/health")
        except httpx.TransportError:
            return False
    return answer.is_success
