"""Relays with their leases and lanes, consumers with their queues, and the catalog with its schemas."""

from typing import Any

import httpx

from tests.support.console import console
from tests.support.console_answers import AT, ready, system, topology

RELAYS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


def relay(number: int, **changed: Any) -> dict[str, Any]:
    """A relay of the outbox."""
    known = {"relay_id": RELAYS[number], "started_at": AT, "heartbeat_at": AT, "alive": True}
    return {**known, "silent_seconds": 1.25, "lease_seconds": 15.0, "lanes": 32, **changed}


def lane(number: int, owner: int | None, *, alive: bool = True) -> dict[str, Any]:
    """A lane and its owner."""
    return {"lane": number, "owner": None if owner is None else RELAYS[owner], "owner_alive": alive, "token": 1}


def facts(version: str) -> dict[str, Any]:
    """`/v1/process`."""
    return {"name": "x", "kind": "relay", "version": version, "started_at": AT, "time": AT}


async def relays_page(**changed: Any) -> str:
    async with console(system(**changed)) as browser:
        answer = await browser.get("/relays")
    assert answer.status_code == 200
    return answer.text


async def test_a_relay_whose_lease_has_expired_is_shown_so_and_its_lanes_too() -> None:
    dead = relay(1, alive=False, silent_seconds=42.0, lanes=1)
    lanes = {
        "relays": [relay(0, lanes=2), dead],
        "lanes": [lane(0, 0), lane(1, 0), lane(2, 1, alive=False), lane(3, None)],
    }
    page = await relays_page(**{"order-relay/v1/outbox/lanes": lanes})
    assert "lease expired" in page
    assert "1.2 s ago" in page
    assert "42 s ago" in page
    assert "2 lanes: 11111111-" in page
    assert "2 lanes: no live relay" in page


async def test_a_relay_that_does_not_answer_is_shown_so() -> None:
    away = {f"order-relay{path}": httpx.ConnectError("x") for path in ("/readyz", "/v1/outbox", "/v1/outbox/lanes")}
    page = await relays_page(**away)
    assert "no answer" in page
    assert "nothing is lost, and they go out later" in page


async def test_different_versions_are_named() -> None:
    versions = {"order/v1/process": facts("0.2.0"), "order-relay/v1/process": facts("0.3.0")}
    page = await relays_page(**versions)
    assert "Different versions run at the same time." in page
    assert "0.2.0, 0.3.0" in page


async def test_a_consumer_shows_its_queues_handlers_and_failing_checks() -> None:
    missing = {
        **topology("notification"),
        "dead_letter_queue": {"name": "gone-dlq.fifo", "exists": False, "messages": None},
    }
    page = await relays_page(
        **{"notification/v1/topology": missing, "notification/readyz": ready("degraded", queue="it is paused")}
    )
    assert "gone-dlq.fifo" in page
    assert "does not exist" in page
    assert "8 attempts; the second after 2 min" in page
    assert "The check queue fails" in page
    assert "it is paused" in page


async def test_the_catalog_lists_events_with_those_who_react_and_their_schema() -> None:
    schema = {"title": "OrderPlaced", "description": "Bestellung für 고객"}
    async with console(system(**{"order/schemas/order.placed/1": schema})) as browser:
        page = (await browser.get("/catalog")).text
        assert "order-events.fifo" in page
        assert 'href="/relays#notification"' in page
        assert "personal data: recipient" in page
        found = await browser.get("/catalog/order.placed/1")
        assert "Bestellung für 고객" in found.text
        assert (await browser.get("/catalog/order.placed/99")).status_code == 404
        assert (await browser.get("/catalog/order.confirmed/1")).status_code == 404


async def test_a_schema_of_a_service_that_is_away_says_so() -> None:
    async with console(system(**{"order/schemas/order.placed/1": httpx.ConnectError("x")})) as browser:
        answer = await browser.get("/catalog/order.placed/1")
    assert answer.status_code == 503
    assert "A service does not answer" in answer.text
