"""Readiness is accurate within seconds, uses few calls, and shows no internal details."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from benchmarks.counting import count_calls
from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from services.relay.main import build
from tests.support import relays
from tests.support.databases import TestDatabase, execute
from tests.support.letters import three_letters
from tests.support.notification_service import notification_service
from tests.support.order_service import ORDER, order_service
from tests.support.round_trips import counted_round_trips
from tests.support.waiting import eventually
from tests.support.web import client
from tools.embedded.ports import free_port

INTERNALS = re.compile(r"://|\d+\.\d+\.\d+\.\d+|Error|Exception|Errno|asyncpg|sqlalchemy|SELECT|127\.0|localhost")

Running = Callable[[TestDatabase, Aws, BrokerNames], AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def order(database: TestDatabase, aws: Aws, topology: BrokerNames) -> AsyncIterator[httpx.AsyncClient]:
    where = {"aws_endpoint_url": aws.endpoint_url, "topology_prefix": topology.prefix}
    async with order_service(database, signals=None, consuming=True, queue_wait_seconds=1, **where) as api:
        yield api


@asynccontextmanager
async def notification(database: TestDatabase, aws: Aws, topology: BrokerNames) -> AsyncIterator[httpx.AsyncClient]:
    async with notification_service(database, aws, topology.prefix) as service:
        yield service.api


@asynccontextmanager
async def relay(database: TestDatabase, aws: Aws, topology: BrokerNames) -> AsyncIterator[httpx.AsyncClient]:
    made = relays.settings(database.url_for("order_relay"), aws, topology, lease_seconds=15)
    async with client(build(made)) as api:
        yield api


CHANGES = {
    "order": ("/v1/orders", ORDER),
    "notification": ("/v1/dead-letters/discard", {"all": True, "dry_run": False, "reason": "no"}),
    "relay": ("/v1/outbox/pause", {"reason": "no"}),
}
SERVICES: list[tuple[str, Running]] = [("order", order), ("notification", notification), ("relay", relay)]


@pytest.fixture
def databases(orders_database: TestDatabase, notifications_database: TestDatabase) -> dict[str, TestDatabase]:
    return {"order": orders_database, "notification": notifications_database, "relay": orders_database}


async def status(api: httpx.AsyncClient) -> int:
    answer = await api.get("/readyz")
    assert not INTERNALS.search(answer.text), answer.text
    return answer.status_code


async def refused(api: httpx.AsyncClient, name: str) -> bool:
    path, body = CHANGES[name]
    answer = await api.post(path, json=body)
    assert answer.status_code in (200, 201, 503), answer.text
    assert answer.status_code != 503 or int(answer.headers["Retry-After"]) > 0
    return answer.status_code == 503


async def is_ready(api: httpx.AsyncClient) -> bool:
    return await status(api) == 200


async def is_unready(api: httpx.AsyncClient) -> bool:
    return await status(api) == 503


@pytest.mark.parametrize(("name", "running"), SERVICES, ids=[name for name, _ in SERVICES])
async def test_readiness_uses_few_calls_and_reports_a_read_only_database(
    databases: dict[str, TestDatabase], aws: Aws, topology: BrokerNames, name: str, running: Running
) -> None:
    database = databases[name]
    if name == "notification":
        await execute(database.url, *three_letters("notification"))  # or there is nothing that it could change
    async with counted_round_trips(database) as through, running(through.database, aws, topology) as api:
        await eventually(lambda: is_ready(api), timeout=20)
        with count_calls() as counts:
            least = 1_000
            for _ in range(40):
                before = through.round_trips
                await status(api)
                # The loops beside it ask too, now and then: of many pages, the one that nobody disturbed.
                least = min(least, through.round_trips - before)
        assert least <= 2
        assert counts.aws["GetTopicAttributes"] + counts.aws["GetQueueAttributes"] <= 4, counts.aws
        # Whoever is connected can still write: the page says so all the same.
        await execute(database.url, f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
        await eventually(lambda: is_unready(api), timeout=10)
        others = f"datname = '{database.name}' AND pid <> pg_backend_pid()"
        await execute(database.url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        await eventually(lambda: refused(api, name))
        await eventually(lambda: is_unready(api), timeout=10)


@pytest.mark.parametrize(("name", "running"), SERVICES, ids=[name for name, _ in SERVICES])
@pytest.mark.parametrize("way", ["missing", "nowhere"])
async def test_an_unavailable_database_is_503_without_details(
    databases: dict[str, TestDatabase], aws: Aws, name: str, running: Running, way: str
) -> None:
    url = databases[name].url
    url = f"{url}_missing" if way == "missing" else f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere"
    async with running(TestDatabase("missing", url), aws, BrokerNames("nowhere-")) as api:
        assert await status(api) == 503
        assert await refused(api, name)
        assert (await api.get("/livez")).status_code == 200
