"""`event-trio` retries with the same key when a response was lost, so that a change is applied once."""

import pytest

from services.order.main import build
from tests.support.command import event_trio
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import three_letters
from tests.support.losses import losing
from tests.support.operators import relay_app
from tests.support.order_service import settings
from tests.support.outbox import query
from tests.support.serving import serving

WHY = ("--reason", "because", "--yes")


async def test_a_lost_response_discards_nothing_twice(orders_database: TestDatabase) -> None:
    await execute(orders_database.url, *three_letters("order"))
    async with serving(build(settings(orders_database))) as url, losing(url, answers=2) as lossy:
        commands = [
            await event_trio("dead-letters", "discard", "--all", "--limit", "1", "--json", "--url", address, *WHY)
            for address in (lossy, url)
        ]
    assert [(ran.status, ran.err) for ran in commands] == [(0, ""), (0, "")]
    # Each command has its own key, so the second one discards the next dead letter.
    assert [[item["event_id"] for item in ran.data["items"]] for ran in commands] == [["e-1"], ["e-2"]]
    traces = await fetch(orders_database.url, "SELECT event_id FROM operator_action ORDER BY id")
    assert [row["event_id"] for row in traces] == ["e-1", "e-2"]


@pytest.mark.parametrize(("lost", "status"), [(1, 0), (3, 1)])
async def test_an_outbox_is_paused_once_and_an_unknown_result_is_reported(
    outbox_database: TestDatabase, lost: int, status: int
) -> None:
    async with serving(relay_app(outbox_database)) as url, losing(url, answers=lost) as lossy:
        ran = await event_trio("outbox", "pause", "--url", lossy, *WHY)
    assert ran.status == status, ran.err
    assert ("The change may have been applied. Check before you retry" in ran.err) is (status == 1)
    audited = await query(outbox_database.url, "SELECT action FROM outbox_audit")
    assert [row["action"] for row in audited] == ["pause"]
