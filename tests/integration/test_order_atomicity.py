"""An event exists if and only if its change was committed, wherever the process crashes."""

from pathlib import Path

import httpx
import pytest

from tests.support.databases import TestDatabase, execute, fetch
from tests.support.order_service import ORDER, order_service, place
from tests.support.processes import service_process

ORDER_SERVICE = "services.order.main"


def environment(database: TestDatabase, failpoint: str, kind: str = "local") -> dict[str, str]:
    return {"DATABASE_URL": database.url_for("order_api"), "ENVIRONMENT": kind, "FAILPOINT": failpoint}


async def versions(database: TestDatabase) -> list[tuple[str, int]]:
    """Each order's state and version, after checking that history and outbox agree."""
    orders = await fetch(database.url, "SELECT id, state, version FROM orders")
    expected = sorted((str(row["id"]), number) for row in orders for number in range(1, row["version"] + 1))
    history = await fetch(database.url, "SELECT order_id, version FROM order_history")
    outbox = await fetch(database.url, "SELECT subject, sequence FROM outbox_event")
    assert sorted((str(row["order_id"]), row["version"]) for row in history) == expected
    assert sorted((row["subject"], row["sequence"]) for row in outbox) == expected
    return [(row["state"], row["version"]) for row in orders]


@pytest.mark.parametrize(
    ("failpoint", "committed"), [("order.before_commit", []), ("order.after_commit", [("placed", 1)])]
)
async def test_killed_while_placing(
    orders_database: TestDatabase, tmp_path: Path, failpoint: str, committed: list[tuple[str, int]]
) -> None:
    async with service_process(ORDER_SERVICE, environment(orders_database, failpoint), tmp_path) as service:
        with pytest.raises(httpx.TransportError):
            await service.api.post("/v1/orders", json=ORDER)
        assert await service.process.wait(10) != 0
    assert await versions(orders_database) == committed


@pytest.mark.parametrize(
    ("failpoint", "committed"), [("order.before_commit", ("placed", 1)), ("order.after_commit", ("confirmed", 2))]
)
async def test_killed_while_changing(
    orders_database: TestDatabase, tmp_path: Path, failpoint: str, committed: tuple[str, int]
) -> None:
    async with order_service(orders_database) as api:
        order = await place(api)
    async with service_process(ORDER_SERVICE, environment(orders_database, failpoint), tmp_path) as service:
        with pytest.raises(httpx.TransportError):
            await service.api.post(f"/v1/orders/{order['id']}/confirm")
        assert await service.process.wait(10) != 0
    assert await versions(orders_database) == [committed]
    # The dead process's lock is gone with it: the next one can go on.
    async with order_service(orders_database) as api:
        answer = await api.post(f"/v1/orders/{order['id']}/hold", json={"reason": "look into it"})
        assert answer.status_code == 200
    assert await versions(orders_database) == [("held", committed[1] + 1)]


async def test_a_failpoint_does_nothing_in_production(orders_database: TestDatabase, tmp_path: Path) -> None:
    production = environment(orders_database, "order.before_commit", "production")
    async with service_process(ORDER_SERVICE, production, tmp_path) as service:
        assert (await service.api.post("/v1/orders", json=ORDER)).status_code == 201
    assert await versions(orders_database) == [("placed", 1)]


async def test_an_order_whose_event_cannot_be_recorded_is_not_created(orders_database: TestDatabase) -> None:
    async with order_service(orders_database) as api:
        await place(api)
        await execute(orders_database.url, "REVOKE INSERT ON outbox_event FROM order_api")
        refused = await api.post("/v1/orders", json=ORDER)
    assert refused.status_code == 503  # a grant is missing: somebody is deploying, and it passes
    assert "outbox" not in refused.text
    assert await versions(orders_database) == [("placed", 1)]
