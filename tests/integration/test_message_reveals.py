"""Who looks at the payload of a dead letter or deferred message, and why, is stored with it."""

import json

from services.order.main import build
from tests.support.databases import TestDatabase, execute
from tests.support.letters import letters
from tests.support.order_service import settings
from tests.support.web import client


async def test_the_reason_to_look_at_a_payload_is_in_the_audit(orders_database: TestDatabase) -> None:
    body = {"specversion": "1.0", "id": "e-1", "type": "order.unheard", "data": {"recipient": "ada@example.com"}}
    stored = f"UPDATE deferred_message SET envelope = convert_to($json${json.dumps(body)}$json$, 'UTF8')"
    pending = "UPDATE deferred_message SET status = 'waiting', due_at = now() + interval '1 h' WHERE event_id = 'e-2'"
    await execute(orders_database.url, *letters("order", 2), stored, pending)
    async with client(build(settings(orders_database))) as api:
        for path in ("/v1/dead-letters/e-1", "/v1/deferred-messages/e-2"):
            assert (await api.post(f"{path}/reveals", json={})).status_code == 422
            masked = (await api.get(path)).json()
            assert (masked["masked"], json.loads(masked["envelope"])["data"]) == (["recipient"], {"recipient": "•••"})
            assert (await api.get(path, params={"unmasked": True})).status_code == 403
            for _ in range(2):
                once = {"Idempotency-Key": f"key-{path[-1]}"}
                answer = await api.post(f"{path}/reveals", json={"reason": "the customer asked"}, headers=once)
                assert (answer.status_code, answer.json()) == (200, {"event_id": path[-3:]})
            unmasked = (await api.get(path, params={"unmasked": True})).json()
            assert (unmasked["masked"], json.loads(unmasked["envelope"])) == ([], body)
            assert "ada" not in (await api.get(path)).text
            actions = unmasked["actions"]
            assert [(each["action"], each["reason"]) for each in actions] == [("reveal", "the customer asked")]
        for path in ("/v1/dead-letters/e-2", "/v1/deferred-messages/e-1", "/v1/dead-letters/nothing"):
            assert (await api.post(f"{path}/reveals", json={"reason": "x"})).status_code == 404
