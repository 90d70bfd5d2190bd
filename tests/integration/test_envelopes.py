"""The envelope of an event is masked until an operator gives a reason, which the audit keeps."""

from pathlib import Path
from typing import Any

import pytest

from event_trio.contracts.orders import ORDER_EVENTS
from event_trio.operations_api.masking import masked_envelope, personal_fields
from tests.support.access import authenticated, callers
from tests.support.databases import TestDatabase, fetch
from tests.support.order_service import order_service, place


async def test_personal_data_is_masked_until_it_is_asked_for(orders_database: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    who = callers(issuer)
    async with order_service(orders_database, **auth) as api:
        order = await place(api, who["operator"])
        events: Any = (await api.get(f"/v1/orders/{order['id']}/events", headers=who["operator"])).json()
        path = f"/v1/events/{events['items'][0]['id']}/envelope"
        reveals = path.replace("/envelope", "/reveals")

        masked = (await api.get(path, headers=who["operator"])).json()
        assert masked["masked"] == ["recipient"]
        assert order["recipient"] not in str(masked)
        assert masked["envelope"]["type"] == "order.placed"
        assert masked["envelope"]["data"]["order_id"] == order["id"]

        for caller in ("reader", "service", "owner", "nobody"):
            assert (await api.get(path, headers=who[caller])).status_code in (401, 403)
            answer = await api.post(reveals, json={"reason": "x"}, headers=who[caller])
            assert answer.status_code in (401, 403)
        assert (await api.post(reveals, json={}, headers=who["operator"])).status_code == 422
        assert (await api.get(path, params={"unmasked": True}, headers=who["operator"])).status_code == 403
        assert await fetch(orders_database.url, "SELECT 1 FROM operator_action") == []

        reason = {"reason": "the customer asked what we sent"}
        keyed = {**who["operator"], "Idempotency-Key": "once"}
        for _ in range(2):
            assert (await api.post(reveals, json=reason, headers=keyed)).status_code == 200
        revealed = (await api.get(path, params={"unmasked": True}, headers=who["operator"])).json()
        assert revealed["envelope"]["data"]["recipient"] == order["recipient"]
        actions: Any = (await api.get("/v1/operator-actions", headers=who["operator"])).json()
        (action,) = actions["items"]
        assert (action["action"], action["actor"], action["reason"]) == ("reveal", "olga", reason["reason"])
        assert action["message_group"] == order["id"]
        # Another operator needs a reason of his own, and so does the same one later.
        other = issuer.bearer("oscar", "operator")
        assert (await api.get(path, params={"unmasked": True}, headers=other)).status_code == 403
        await fetch(orders_database.url, "UPDATE operator_action SET done_at = done_at - interval '301 s'")
        assert (await api.get(path, params={"unmasked": True}, headers=who["operator"])).status_code == 403


async def test_an_event_that_is_not_in_the_outbox_is_not_found(orders_database: TestDatabase) -> None:
    path = "/v1/events/019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10/envelope"
    async with order_service(orders_database) as api:
        assert (await api.get(path)).status_code == 404
        assert (await api.post(path.replace("/envelope", "/reveals"), json={"reason": "x"})).status_code == 404
        assert (await api.get("/v1/events/not-an-id/envelope")).status_code == 422


@pytest.mark.parametrize(
    ("type", "masked"), [("order.placed", ["recipient"]), ("order.held", []), ("unknown.type", ["a", "recipient"])]
)
def test_of_an_unknown_type_everything_is_masked(type: str, masked: list[str]) -> None:
    envelope = {"type": type, "data": {"a": 1, "recipient": "ada@example.com"}}
    assert masked_envelope(envelope, personal_fields(ORDER_EVENTS))[1] == masked
