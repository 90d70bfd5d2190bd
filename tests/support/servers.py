"""The Postgres and the LocalStack of the tests: from the environment, in containers, or embedded."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from event_trio.database.connections import connect
from tests.support import containers
from tests.support.postgres_folders import IN_MEMORY, memory
from tests.support.waiting import run
from tools.embedded import installation, localstack
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.postgres import EmbeddedPostgres
from tools.embedded.server import EmbeddedServer

Notice = Callable[[str], None]
Server = TypeVar("Server", bound=EmbeddedServer)
LOOPBACK_NAMES = {"127.0.0.1", "::1", "localhost"}
DATABASE_VARIABLE = "TEST_DATABASE_URL"
AWS_VARIABLE = "TEST_AWS_ENDPOINT_URL"


@dataclass(frozen=True)
class PostgresServer:
    """A server on which tests may create databases."""

    admin_url: str
    """URL of the database `postgres` as a superuser."""


@contextmanager
def postgres_server(notice: Notice) -> Iterator[PostgresServer]:
    """The server of $TEST_DATABASE_URL, else one in a container, else an embedded one."""
    if given := given_url(DATABASE_VARIABLE):
        yield PostgresServer(given)
        return
    if container := _container("Postgres", containers.start_postgres, notice):
        with container as admin_url:
            yield PostgresServer(admin_url)
        return
    with _embedded(EmbeddedPostgres(settings=IN_MEMORY, temporary=memory())) as server:
        yield PostgresServer(server.admin_url)


@contextmanager
def localstack_server(notice: Notice) -> Iterator[str]:
    """The endpoint URL of $TEST_AWS_ENDPOINT_URL, else of one in a container, else of an embedded one."""
    if given := given_url(AWS_VARIABLE):
        yield given
        return
    if container := _container("LocalStack", containers.start_localstack, notice):
        with container as endpoint_url:
            yield endpoint_url
        return
    with _embedded(EmbeddedLocalStack()) as server:
        yield server.endpoint_url


@contextmanager
def _embedded(server: Server) -> Iterator[Server]:
    run(server.start())
    try:
        yield server
    finally:
        run(server.stop())


def _container(
    name: str, start: Callable[[], AbstractContextManager[str]], notice: Notice
) -> AbstractContextManager[str] | None:
    """A server in a container; None when Docker is not available. Raises ContainersMissing when it is required."""
    if not containers.available():
        if containers.required():
            raise containers.ContainersMissing(
                f"{containers.REQUIRED} is set, and no Docker daemon answers: start it, or unset the variable"
            )
        return None
    try:
        return start()
    except Exception as error:
        if containers.required():
            raise containers.ContainersMissing(
                f"{containers.REQUIRED} is set, and there is no {name} in a container: {error}"
            ) from error
        # The tests run without the image too.
        notice(f"no {name} in a container ({error}): using the embedded one")
        return None


def given_url(variable: str) -> str | None:
    """The URL in `variable`, which must be on this machine, because tests drop databases and delete queues."""
    url = os.environ.get(variable)
    if not url:
        return None
    if containers.required():
        raise pytest.UsageError(f"{variable} and {containers.REQUIRED} are set: unset one of them")
    host = urlsplit(url).hostname
    if host not in LOOPBACK_NAMES and os.environ.get("TEST_ALLOW_REMOTE") != "1":
        raise pytest.UsageError(
            f"{variable} contains {host}, which is not this machine. The tests create and delete databases and queues "
            "there; set TEST_ALLOW_REMOTE=1 to allow it."
        )
    return url


def describe() -> list[str]:
    """A line about each server with its kind and version; no server is started."""
    in_docker = containers.available() or containers.required()
    if url := given_url(DATABASE_VARIABLE):
        postgres = f"{DATABASE_VARIABLE} ({urlsplit(url).hostname}:{urlsplit(url).port}), {run(_version(url))}"
    elif in_docker:
        postgres = f"container {containers.POSTGRES_IMAGE}"
    else:
        postgres = f"embedded {_embedded_postgres_version()}"
    if url := given_url(AWS_VARIABLE):
        broker = f"{AWS_VARIABLE} ({urlsplit(url).hostname}:{urlsplit(url).port})"
    elif in_docker:
        broker = f"container {containers.LOCALSTACK_IMAGE}"
    else:
        broker = f"embedded {localstack.version()}"
    return [f"postgres: {postgres}", f"localstack: {broker}"]


def _embedded_postgres_version() -> str:
    try:
        return installation.find().version()
    except EmbeddedServerFailed as error:
        return f"({error})"


async def _version(url: str) -> str:
    try:
        connection = await connect(url, timeout=3.0)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return f"which does not answer: {error}"
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
