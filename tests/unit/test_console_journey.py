"""The journey of an order: each step with its milliseconds, what caused what, and what is still missing."""

import re
from typing import Any

import httpx

from services.console.views.journey import BAR
from tests.support.console import console
from tests.support.console_events import FAILED, HELD, ORDER, PLACED, TRACE, page, processed, recorded, shop


def events(text: str) -> dict[str, str]:
    """The part of the page of each event."""
    parts = re.split(r'(?=<li class="card event)', text)[1:]
    return {re.search(r'id="event-([^"]+)"', part)[1]: part for part in parts}  # type: ignore[index]


async def journey(system: object = None, **params: str) -> str:
    async with console(system or shop()) as browser:  # type: ignore[arg-type]
        answer = await browser.get(f"/journey/{ORDER}", params=params)
    assert answer.status_code == 200
    return answer.text


async def test_events_are_below_what_caused_them_with_the_time_of_each_step() -> None:
    found = events(await journey())
    assert list(found) == [PLACED, FAILED, HELD]
    assert [re.search(r"depth-(\d)", part)[1] for part in found.values()] == ["0", "1", "2"]  # type: ignore[index]
    placed = found[PLACED]
    assert "2026-11-26 08:00:01.010" in placed
    assert "+10 ms" in placed
    assert "+30 ms" in placed
    assert "+490 ms" in placed
    assert "failed, failure published by" in placed
    assert "compensation" in found[HELD]
    assert "compensation" not in found[FAILED]


async def test_bars_are_where_their_steps_were() -> None:
    (placed, *_) = events(await journey()).values()
    bars = [(float(x), float(width)) for x, width in re.findall(r'class="took" x="([\d.]+)" width="([\d.]+)"', placed)]
    # Of 500 ms, sending took the first 10, publishing the next 30, and handling 490 after sending.
    assert bars == [(0.0, 4.8), (4.8, 14.4), (4.8, 235.2)]
    assert all(x + width <= BAR for x, width in bars)


async def test_what_a_subscriber_has_not_handled_is_shown_as_missing() -> None:
    system = shop()
    system.answers["notification/v1/processed-messages"] = page()
    text = await journey(system)
    assert "not handled yet by" in events(text)[PLACED]
    assert "on its way" in text
    # Nobody subscribes to the event of a held order.
    assert "not handled yet by" not in events(text)[HELD]


async def test_a_dead_letter_and_its_redrive_are_steps() -> None:
    system = shop()
    dead = {"status": "dead", "reason": "rejected", "error": "no", "attempts": 3, "blocks": False}
    deferred = {**dead, "deferred_at": "2026-11-26T08:00:01.500+00:00", "due_at": None, "taken_until": None}
    row = processed(PLACED, "order.placed", "notification", "dead_letter", "2026-11-26T08:00:01.500+00:00")
    system.answers["notification/v1/processed-messages"] = page({**row, "deferred": deferred})
    action = {"id": 1, "done_at": "2026-11-26T08:01:00+00:00", "actor": "olga", "action": "redrive"}
    more = {"reason": "the carrier is back", "event_id": PLACED, "message_group": ORDER, "type": "x", "attempts": 3}
    system.answers["notification/v1/operator-actions"] = page({**action, **more})
    text = await journey(system)
    assert "dead letter of" in text
    assert "rejected; 3 failed attempts" in text
    assert "by olga: the carrier is back" in text
    assert "stuck" in text


async def test_the_trace_is_linked_where_a_program_shows_traces() -> None:
    async with console(shop(), trace_url="http://127.0.0.1:16686/trace/{trace_id}") as browser:
        linked = (await browser.get(f"/journey/{ORDER}")).text
    assert f'href="http://127.0.0.1:16686/trace/{TRACE}"' in linked
    assert "16686" not in await journey()


async def test_an_unknown_order_and_a_service_that_is_away_are_said() -> None:
    async with console(shop()) as browser:
        assert "No event of this order" in (await browser.get("/journey/unknown")).text
        assert (await browser.get("/journey/a b")).status_code == 400
    system = shop()
    system.answers["notification/v1/processed-messages"] = httpx.ReadTimeout("slow")
    assert "does not answer" in await journey(system)


async def test_a_long_journey_is_read_in_bounded_calls() -> None:
    system = shop()

    def many(request: httpx.Request) -> dict[str, Any]:
        number = int(request.url.params.get("cursor", 0))
        items = [recorded(f"e-{number}-{place}", "order.confirmed", place % 60) for place in range(100)]
        return page(*items, cursor=str(number + 1))

    system.answers["order/v1/recorded-events"] = many
    text = await journey(system)
    assert len(text.encode()) < 60_000
    assert "e-4-0" in await journey(system, event="e-4-0")
    assert "There are more events than are shown" in text
    assert len([call for call in system.calls if call == "GET order/v1/recorded-events"]) == 10


async def test_one_event_is_opened() -> None:
    found = events(await journey(event=FAILED))
    assert [id for id, part in found.items() if '<details class="more" open>' in part] == [FAILED]
