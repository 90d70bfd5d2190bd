"""Idempotent requests for orders: one change, one event, one response."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from event_trio.http.replayed import REPLAYED
from event_trio.idempotency.pruner import STEP
from event_trio.idempotency.response_store import PRUNE
from event_trio.idempotency.schema import TABLE
from event_trio.signals import Signals
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.order_service import ORDER, order_service, place
from tests.support.processes import service_process
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tests.support.waiting import eventually

KEY = {"Idempotency-Key": "7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"}


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def count(database: TestDatabase, table: str) -> int:
    (row,) = await fetch(database.url, f"SELECT count(*) AS n FROM {table}")
    found: int = row["n"]
    return found


def same(first: httpx.Response, second: httpx.Response) -> bool:
    """Whether the responses differ only in the correlation id, and in that a stored one says so."""
    ignored = ("x-correlation-id", REPLAYED.lower())
    headers = [
        {name: value for name, value in answer.headers.items() if name not in ignored} for answer in (first, second)
    ]
    return (first.status_code, first.content, headers[0]) == (second.status_code, second.content, headers[1])


async def test_fifty_concurrent_requests_with_one_key_place_one_order(orders_database: TestDatabase) -> None:
    async with order_service(orders_database) as one, order_service(orders_database) as two:
        requests = [api.post("/v1/orders", json=ORDER, headers=KEY) for api in (one, two) * 25]
        answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {201}
    assert all(same(answers[0], answer) for answer in answers)
    assert Counter(answer.headers.get(REPLAYED) for answer in answers) == {None: 1, "true": 49}
    assert [await count(orders_database, table) for table in ("orders", "order_history", "outbox_event")] == [1, 1, 1]


async def test_a_request_with_two_keys_is_rejected_and_changes_nothing(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    answer = await api.post("/v1/orders", json=ORDER, headers=[("Idempotency-Key", "one"), ("Idempotency-Key", "two")])
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:invalid-request")
    assert "Send one" in answer.json()["detail"]
    assert await count(orders_database, "orders") == 0


async def test_a_repeated_change_returns_its_response_even_after_later_changes(api: httpx.AsyncClient) -> None:
    order = await place(api)
    path = f"/v1/orders/{order['id']}"
    first = await api.post(f"{path}/confirm", headers={**KEY, "If-Match": '"1"'})
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    await api.post(f"{path}/ship")
    again = await api.post(f"{path}/confirm", headers={**KEY, "If-Match": '"1"'})
    assert same(first, again)
    assert (await api.get(path)).json()["state"] == "shipped"


async def test_a_quoted_key_is_the_same_key(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    first = await api.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "once"})
    assert same(first, await api.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": '"once"'}))
    assert await count(orders_database, "orders") == 1


async def test_a_key_belongs_to_one_request(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    order = (await api.post("/v1/orders", json=ORDER, headers=KEY)).json()
    others: list[tuple[str, Any]] = [
        ("/v1/orders", {**ORDER, "locale": "ko"}),
        (f"/v1/orders/{order['id']}/confirm", None),
    ]
    for path, body in others:
        answer = await api.post(path, json=body, headers=KEY)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:idempotency-key-reused")
    assert await count(orders_database, "outbox_event") == 1


async def test_a_rejected_request_is_processed_again(api: httpx.AsyncClient) -> None:
    order = await place(api)
    path = f"/v1/orders/{order['id']}"
    assert (await api.post(f"{path}/ship", headers=KEY)).status_code == 409
    await api.post(f"{path}/confirm")
    assert (await api.post(f"{path}/ship", headers=KEY)).status_code == 200


@pytest.mark.parametrize("bad", [b"", b'""', b"a b", "ö".encode(), b"x" * 256, b'"x'])
async def test_a_key_has_a_form(api: httpx.AsyncClient, bad: bytes) -> None:
    answer = await api.post("/v1/orders", json=ORDER, headers={b"Idempotency-Key": bad})
    assert answer.status_code == 422
    assert [(error["location"], error["field"]) for error in answer.json()["errors"]] == [("header", "Idempotency-Key")]


async def test_callers_do_not_share_keys(orders_database: TestDatabase, tmp_path: Path) -> None:
    issuer = Issuer()
    auth: dict[str, Any] = {
        "auth_jwks": issuer.write_key_set(tmp_path),
        "auth_issuer": ISSUER,
        "auth_audience": AUDIENCE,
    }
    async with order_service(orders_database, **auth) as api:
        for name in ("customer-1", "customer-2"):
            headers = {**KEY, **issuer.bearer(name, "customer")}
            answer = await api.post("/v1/orders", json={**ORDER, "customer_id": name}, headers=headers)
            assert (answer.status_code, answer.json()["customer_id"]) == (201, name)


@asynccontextmanager
async def first_under_way(database: TestDatabase) -> AsyncIterator[None]:
    """Lock the order's row, so that the request that holds the key takes long."""
    connection = await asyncpg.connect(database.url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM orders FOR UPDATE")
            yield
    finally:
        await connection.close()


async def waiting(database: TestDatabase, event: str) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND wait_event = $2"
    return len(await fetch(database.url, query, database.name, event)) == 1


async def test_a_concurrent_request_waits_for_the_first_response(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    order = await place(api)
    path = f"/v1/orders/{order['id']}/confirm"
    async with first_under_way(orders_database):
        first = asyncio.create_task(api.post(path, headers=KEY))
        await eventually(lambda: waiting(orders_database, "transactionid"))
        second = asyncio.create_task(api.post(path, headers=KEY))
        await eventually(lambda: waiting(orders_database, "advisory"))
    assert (await first).status_code == 200
    assert same(await first, await second)
    assert await count(orders_database, "outbox_event") == 2


async def test_a_concurrent_request_waits_at_most_five_seconds(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    holder = await asyncpg.connect(orders_database.url)
    try:
        async with holder.transaction():
            name = f"local {KEY['Idempotency-Key']}"
            await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            began = asyncio.get_running_loop().time()
            answer = await api.post("/v1/orders", json=ORDER, headers=KEY)
            took = asyncio.get_running_loop().time() - began
    finally:
        await holder.close()
    assert 4.5 < took < 8
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem-type:idempotency-key-in-use")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await api.post("/v1/orders", json=ORDER, headers=KEY)).status_code == 201


@pytest.mark.parametrize("failpoint", ["order.before_commit", "order.after_commit"])
async def test_response_and_change_are_committed_together(
    orders_database: TestDatabase, tmp_path: Path, failpoint: str
) -> None:
    environment = {
        "DATABASE_URL": orders_database.url_for("order_api"),
        "ENVIRONMENT": "local",
        "FAILPOINT": failpoint,
    }
    async with service_process("services.order.main", environment, tmp_path) as service:
        with pytest.raises(httpx.TransportError):
            await service.api.post("/v1/orders", json=ORDER, headers=KEY)
        assert await service.process.wait(10) != 0
    committed = 1 if failpoint == "order.after_commit" else 0
    assert [await count(orders_database, table) for table in ("orders", "idempotency_key")] == [committed] * 2
    async with order_service(orders_database) as api:
        answer = await api.post("/v1/orders", json=ORDER, headers=KEY)
        assert answer.status_code == 201
        assert (await api.get(answer.headers["Location"])).content == answer.content
    assert [await count(orders_database, table) for table in ("orders", "outbox_event")] == [1, 1]


async def test_a_key_expires_even_before_it_is_pruned(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    first = await api.post("/v1/orders", json=ORDER, headers=KEY)
    await execute(orders_database.url, "UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
    second = await api.post("/v1/orders", json=ORDER, headers=KEY)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert same(second, await api.post("/v1/orders", json=ORDER, headers=KEY))


async def test_expired_keys_are_pruned_step_by_step(orders_database: TestDatabase) -> None:
    def some(number: int, age: str) -> str:
        return f"""
            INSERT INTO idempotency_key (principal, key, fingerprint, status, headers, body, created_at)
            SELECT 'p', '{age} ' || n, '', 201, '{{}}', '', now() - interval '{age}' FROM generate_series(1, {number}) n
        """

    await execute(orders_database.url, some(STEP + 7, "3 hours"), some(3, "1 hour"))
    signals = Signals()
    async with order_service(orders_database, signals=signals, idempotency_hours=2):
        await signals.wait("key_pruner.pruned", where=lambda facts: facts["responses"] == STEP)
        await signals.wait("key_pruner.pruned", where=lambda facts: facts["responses"] == 7)
    assert await count(orders_database, "idempotency_key") == 3


async def test_expired_keys_are_found_by_an_index(orders_database: TestDatabase) -> None:
    connection = await asyncpg.connect(orders_database.url)
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        rows = await connection.fetch("EXPLAIN " + PRUNE.format(table=TABLE).replace("$1", "24").replace("$2", "500"))
    finally:
        await connection.close()
    plan = [row[0].strip() for row in rows]
    index = next(number for number, line in enumerate(plan) if "using idempotency_key_oldest" in line)
    assert plan[index + 1].startswith("Index Cond: (created_at <")
