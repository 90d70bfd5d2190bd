"""Postgres and LocalStack in containers, where Docker answers."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import asyncpg
import httpx
from testcontainers.core.container import DockerContainer

from tests.support.waiting import eventually, run
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.postgres import SETTINGS

POSTGRES_IMAGE = "postgres:17"
LOCALSTACK_IMAGE = "localstack/localstack:4.14.0"
READY_SECONDS = 90.0


@cache
def available() -> bool:
    """Whether a Docker daemon answers."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    import docker  # takes a third of a second, which a unit test run without Docker need not pay

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
    """Start a server; the context manager gives its URL and stops it."""
    port = free_port()
    flags = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    container = (
        DockerContainer(POSTGRES_IMAGE)
        .with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_command(f"postgres {flags}")
        .with_bind_ports(5432, port)
    )
    url = f"postgresql://postgres@{LOOPBACK}:{port}/postgres"
    return _started(container, url, lambda: _connects(url))


def start_localstack() -> AbstractContextManager[str]:
    """Start a server; the context manager gives its endpoint URL and stops it."""
    port = free_port()
    container = (
        DockerContainer(LOCALSTACK_IMAGE)
        .with_env("SERVICES", "cloudformation,sns,sqs")
        .with_env("LOCALSTACK_HOST", f"{LOOPBACK}:{port}")
        .with_env("SQS_ENDPOINT_STRATEGY", "path")
        .with_env("SQS_ENABLE_MESSAGE_RETENTION_PERIOD", "1")
        .with_env("DISABLE_EVENTS", "1")
        .with_env("SKIP_SSL_CERT_DOWNLOAD", "1")
        .with_env("LS_LOG", "warning")
        .with_bind_ports(4566, port)
    )
    url = f"http://{LOOPBACK}:{port}"
    return _started(container, url, lambda: _healthy(url))


def _started(container: DockerContainer, url: str, ready: Callable[[], Awaitable[bool]]) -> AbstractContextManager[str]:
    container.start()  # outside the context manager, so that a failure shows before it is entered
    try:
        run(eventually(ready, timeout=READY_SECONDS))
    except AssertionError:
        container.stop()
        raise
    return _stopped_at_exit(container, url)


@contextmanager
def _stopped_at_exit(container: DockerContainer, url: str) -> Iterator[str]:
    try:
        yield url
    finally:
        container.stop()


async def _connects(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5.0)
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
