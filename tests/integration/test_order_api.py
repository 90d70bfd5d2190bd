"""The REST API of the order service with a real database."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from event_trio.envelope import Envelope
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import LINE, ORDER, order_service, place

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def envelopes(database: TestDatabase) -> list[Envelope]:
    rows = await fetch(database.url, "SELECT envelope FROM outbox_event ORDER BY id")
    return [Envelope.parse(row["envelope"]) for row in rows]


async def test_placing_an_order_records_its_event(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    answer = await api.post("/v1/orders", json=ORDER, headers={"X-Correlation-ID": "c-1", "traceparent": TRACE})
    assert answer.status_code == 201
    order = answer.json()
    assert answer.headers["Location"] == f"/v1/orders/{order['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert (order["state"], order["version"], order["total"]) == ("placed", 1, "25.00")
    read = await api.get(answer.headers["Location"])
    assert read.json() == order
    assert read.headers["ETag"] == '"1"'
    (event,) = await envelopes(orders_database)
    assert (event.source, event.type, event.subject) == ("/services/order", "order.placed", order["id"])
    assert (event.sequence_number, event.partitionkey) == (1, order["id"])
    assert (event.correlationid, event.traceparent, event.causationid) == ("c-1", TRACE, None)
    assert event.data is not None
    assert (event.data["total"], event.data["lines"]) == ("25.00", [LINE])


async def test_all_transitions_of_an_order(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    order = await place(api)
    steps: list[tuple[str, dict[str, str] | None, str]] = [
        ("hold", {"reason": "stock"}, "held"),
        ("release", None, "placed"),
        ("confirm", None, "confirmed"),
        ("hold", {"reason": "address"}, "held"),
        ("release", None, "confirmed"),
        ("ship", None, "shipped"),
        ("deliver", None, "delivered"),
    ]
    for number, (action, body, state) in enumerate(steps, start=2):
        answer = await api.post(f"/v1/orders/{order['id']}/{action}", json=body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["version"]) == (state, number)
        assert answer.headers["ETag"] == f'"{number}"'
    events = await envelopes(orders_database)
    assert [event.sequence_number for event in events] == list(range(1, 9))
    assert events[1].data == {"order_id": order["id"], "customer_id": "customer-1", "reason": "stock"}
    assert "ada@example.com" not in str([event.data for event in events[1:]])


async def test_a_transition_that_the_state_does_not_allow_is_a_conflict(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    order = await place(api)
    answer = await api.post(f"/v1/orders/{order['id']}/ship")
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:problem-type:order-state"
    assert (problem["state"], problem["allowed"]) == ("placed", ["confirm", "cancel", "hold"])
    assert len(await envelopes(orders_database)) == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"customer_id": None}, "customer_id"),
        ({"customer_id": "a b"}, "customer_id"),
        ({"recipient": "no address"}, "recipient"),
        ({"recipient": "ada@example.com\nBcc: all@example.com"}, "recipient"),
        ({"recipient": "a@[b"}, "recipient"),
        ({"recipient": f"ada@{'b' * 64}.example"}, "recipient"),
        ({"locale": "English"}, "locale"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "ZZZ"}, "currency"),
        ({"lines": []}, "lines"),
        ({"lines": [LINE] * 101}, "lines"),
        ({"lines": [{**LINE, "quantity": 0}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "quantity": 1.5}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "quantity": "2"}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "quantity": True}]}, "lines.0.quantity"),
        ({"lines": [LINE, {**LINE, "unit_price": 12.5}]}, "lines.1.unit_price"),
        ({"lines": [{**LINE, "unit_price": "-1"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "NaN"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "0.005"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "sku": "a\u0000b"}]}, "lines.0.sku"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_an_invalid_order_is_422_with_the_field(
    api: httpx.AsyncClient, orders_database: TestDatabase, changed: dict[str, Any], field: str
) -> None:
    answer = await api.post("/v1/orders", json={**ORDER, **changed})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await envelopes(orders_database) == []


async def test_a_change_whose_event_the_broker_would_reject_is_rejected(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    order = await place(api)
    answer = await api.post(f"/v1/orders/{order['id']}/hold", json={"reason": "not a character: \uffff"})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem-type:event-rejected"
    assert "U+FFFF" in answer.json()["detail"]
    assert (await api.get(f"/v1/orders/{order['id']}")).json() == order
    assert len((await api.get(f"/v1/orders/{order['id']}/events")).json()["items"]) == 1
    assert len(await envelopes(orders_database)) == 1


async def test_unknown_orders_are_404(api: httpx.AsyncClient) -> None:
    order = await place(api)
    nobody = "00000000-0000-7000-8000-000000000000"
    for method, path in [
        ("GET", f"/v1/orders/{nobody}"),
        ("POST", f"/v1/orders/{nobody}/confirm"),
        ("GET", f"/v1/orders/{nobody}/events"),
        ("GET", f"/v1/orders/{nobody}/events/1"),
        ("GET", f"/v1/orders/{order['id']}/events/2"),
    ]:
        answer = await api.request(method, path)
        assert answer.status_code == 404, path
        assert answer.json()["type"] == "urn:problem-type:not-found"


async def test_an_invalid_address_is_rejected_with_the_reason(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/orders", json={**ORDER, "recipient": "ada@-example.com"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "recipient"
    assert error["detail"].startswith("the part of an e-mail address after the @ must be a domain name")


@pytest.mark.parametrize("address", ["ada@예시.com", "주문@예시.com", "o'neil+tea@example.com"])
async def test_an_international_address_is_stored_as_given(address: str, api: httpx.AsyncClient) -> None:
    assert (await place(api, recipient=address))["recipient"] == address
