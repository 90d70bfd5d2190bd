"""Events are found by any id, by type, time and state, and by a part of what one types."""

from typing import Any

import httpx
import pytest

from tests.support.console import console
from tests.support.console_events import CORRELATION, FAILED, HELD, ORDER, PLACED, TRACE, page, recorded, shop

KINDS = {
    ORDER: "Events of this order or subject",
    ORDER.upper(): "Events of this order or subject",
    PLACED: "This event",
    CORRELATION: "Events with this correlation id",
    TRACE: "Events of this trace",
    f"00-{TRACE}-00f067aa0ba902b7-01": "Events of this trace",
    "order.pl": "Recent events that contain this",
    "": "Latest events",
    "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e99": "No event was found",
    "something": "No event was found",
}


@pytest.mark.parametrize(("text", "title"), KINDS.items())
async def test_a_text_is_understood_as_what_it_is(text: str, title: str) -> None:
    async with console(shop()) as browser:
        answer = await browser.get("/find", params={"q": f" {text} "})
    assert answer.status_code == 200
    assert title in answer.text
    assert (PLACED in answer.text) == (title != "No event was found")


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"type": "order.held"}, {HELD}),
        ({"q": ORDER, "type": "notification.failed"}, {FAILED}),
        ({"state": "held"}, set()),
        ({"state": "published", "q": ORDER}, {PLACED, HELD, FAILED}),
        ({"state": "nonsense", "period": "9h"}, {PLACED, HELD, FAILED}),
    ],
)
async def test_filters_restrict(params: dict[str, str], found: set[str]) -> None:
    async with console(shop()) as browser:
        text = (await browser.get("/find", params=params)).text
    assert {id for id in (PLACED, HELD, FAILED) if f"#event-{id}" in text} == found


async def test_a_period_is_the_earliest_time_that_services_look_at() -> None:
    system = shop()
    async with console(system) as browser:
        await browser.get("/find", params={"period": "1h"})
    asked = [each.url.params for each in system.requests if each.url.path == "/v1/recorded-events"]
    assert len(asked) == 2
    assert all("since" in params for params in asked)


async def test_the_search_of_the_frame_opens_the_journey_of_an_order() -> None:
    async with console(shop()) as browser:
        for text in (ORDER, PLACED):
            answer = await browser.get("/find", params={"q": text, "go": "1"})
            assert (answer.status_code, answer.headers["location"]) == (303, f"/journey/{ORDER}")
        assert (await browser.get("/find", params={"q": CORRELATION, "go": "1"})).status_code == 200


async def test_results_are_refreshed_alone() -> None:
    async with console(shop()) as browser:
        part = await browser.get("/find", params={"q": ORDER}, headers={"HX-Request": "true", "HX-Target": "results"})
    assert "<form" not in part.text
    assert f"/journey/{ORDER}" in part.text


async def test_what_was_found_is_shown_while_a_service_is_away() -> None:
    system = shop()
    system.answers["notification/v1/recorded-events"] = httpx.ConnectError("refused")
    async with console(system) as browser:
        text = (await browser.get("/find", params={"q": ORDER})).text
    assert "One service does not answer" in text
    assert f"#event-{PLACED}" in text


async def test_a_list_of_many_events_shows_the_newest_in_few_calls() -> None:
    system = shop()

    def many(request: httpx.Request) -> Any:
        return page(*(recorded(f"e-{number}", "order.placed", number % 60) for number in range(100)), cursor="next")

    system.answers["order/v1/recorded-events"] = many
    async with console(system) as browser:
        answer = await browser.get("/find")
    assert answer.text.count("/journey/") == 50
    assert "There may be more events" in answer.text
    assert len(answer.content) < 60_000
    assert len([call for call in system.calls if call == "GET order/v1/recorded-events"]) == 1


@pytest.mark.parametrize("text", ["x" * 201, "a\x00b"])
async def test_what_no_page_sends_is_rejected(text: str) -> None:
    async with console(shop()) as browser:
        assert (await browser.get("/find", params={"q": text})).status_code == 400


async def test_what_is_typed_does_not_become_markup() -> None:
    async with console(shop()) as browser:
        text = (await browser.get("/find", params={"q": '"><script>alert(1)</script>'})).text
    assert "<script>alert" not in text
