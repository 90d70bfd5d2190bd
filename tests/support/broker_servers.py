"""Servers of other brokers for tests: one for the tests of a file, skipped where its program is missing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from comparisons.brokers.servers.broker_server import BrokerServer
from comparisons.contract import NotAvailable

Server = TypeVar("Server", bound=BrokerServer)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, started; every test may stop and restart it."""
    try:
        asyncio.run(server.__aenter__())
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        asyncio.run(server.__aexit__(None, None, None))
