"""An open tab makes at most one call of a service and second, whatever the number of rows."""

from collections import Counter
from typing import Any

import httpx
import pytest

from tests.support.console import ScriptedSystem, console
from tests.support.console_answers import count, outbox
from tests.support.console_events import ORDER, page, processed, recorded, shop
from tests.unit.test_console_messages import FAILURES, LETTERS, REDRIVE
from tests.unit.test_console_outbox import HELD, REPLAY

LIVE = (
    "/",
    "/relays",
    f"/journey/{ORDER}",
    "/dead-letters",
    "/dead-letters?service=order",
    "/dead-letters/order/messages?fingerprint=f00d",
    "/outbox",
    "/outbox/order-relay",
    "/outbox/order-relay/group?subject=g",
)
PART = {"HX-Request": "true", "HX-Target": "live"}
AT = "2026-11-26T08:00:00+00:00"


def crowded() -> ScriptedSystem:
    """A system of which every list has another page."""
    found = shop()

    def many(item: Any) -> Any:
        return lambda request: page(*(item(f"e-{n}") for n in range(100)), cursor="next")

    events = many(lambda id: recorded(id, "order.placed", 1))
    messages = many(lambda id: processed(id, "order.placed", "order", "handled", AT))
    for name in ("order", "notification"):
        found.answers |= {f"{name}/v1/recorded-events": events, f"{name}/v1/processed-messages": messages}
    found.answers |= {
        "order/v1/failures": FAILURES,
        "order/v1/redrives": {"items": [REDRIVE]},
        "order/v1/dead-letters": LETTERS,
        "order-relay/v1/outbox": outbox(held_groups=count(1000)),
        "order-relay/v1/outbox/held-groups": {"items": [HELD], "next_cursor": "g"},
        "order-relay/v1/outbox/groups/g": {"subject": "g", "held": None, "published_to": 1, "events": []},
        "order-relay/v1/outbox/replays/4": REPLAY,
    }
    return found


@pytest.mark.parametrize("path", LIVE)
async def test_a_part_is_refreshed_after_as_many_seconds_as_it_made_calls(path: str) -> None:
    system = crowded()
    async with console(system, refresh_seconds=2) as browser:
        for headers in ({}, PART):
            # As if nothing had been read before.
            reads: Any = browser._transport.app.state.frame.reads  # type: ignore[attr-defined]
            reads.forget("")
            system.requests.clear()
            answer = await browser.get(path, headers=headers)
            assert answer.status_code == 200
            made = Counter(request.url.host for request in system.requests)
            assert made
            shown = (
                answer.headers.get("x-refresh-seconds") or answer.text.partition('data-refresh="')[2].partition('"')[0]
            )
            assert float(shown) == max(2, *made.values()), made


async def test_a_page_that_shares_all_answers_is_refreshed_as_often_as_configured() -> None:
    async with console(crowded(), refresh_seconds=7) as browser:
        await browser.get("/outbox")
        answer: httpx.Response = await browser.get("/outbox", headers=PART)
    assert answer.headers["x-refresh-seconds"] == "7"


@pytest.mark.parametrize("path", LIVE)
async def test_a_refreshed_part_is_that_of_the_page(path: str) -> None:
    async with console(crowded()) as browser:
        await browser.get("/")
        whole, part = await browser.get(path), await browser.get(path, headers=PART)
    assert part.status_code == 200
    assert part.text.strip() in whole.text
