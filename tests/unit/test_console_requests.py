"""Requests that no page of the console sends: each is refused or read safely, and none fails."""

import re
from typing import Any

import httpx
import pytest

from event_trio.catalog.flow import merge
from event_trio.catalog.journey import DEEPEST, EventRecord, tree
from services.console.views.journey import journey_events
from services.console.web.streams import event_text
from tests.support.console import FORM, ScriptedSystem, console
from tests.support.console_events import recorded
from tests.unit.test_console_messages import failing

PAUSE = "/outbox/order-relay/sending/pause"
LOCAL = "http://127.0.0.1:8010"


async def form(browser: httpx.AsyncClient, path: str = PAUSE) -> dict[str, str]:
    """The hidden fields of a confirmation."""

    return dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', (await browser.get(path)).text))


@pytest.mark.parametrize("origin", ["http://[", "null", "", "https://console.test.evil", "https://evil@console.test"])
async def test_a_form_of_a_strange_origin_is_refused(origin: str) -> None:
    system = ScriptedSystem({"order-relay/v1/outbox/pause": {"paused": True}})
    async with console(system) as browser:
        fields = await form(browser)
        answer = await browser.post(PAUSE, data={**fields, "reason": "x"}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert [call for call in system.calls if call.startswith("POST")] == []


@pytest.mark.parametrize("host", ["[", "[::1", "evil.com@127.0.0.1", "127.0.0.1/x", "127.0.0.1.evil.com", ""])
async def test_a_strange_host_is_not_served(host: str) -> None:
    async with console(ScriptedSystem(), origin=LOCAL, public_url=None) as browser:
        assert (await browser.get("/", headers={"Host": host})).status_code == 421


async def test_local_hosts_are_served() -> None:
    async with console(ScriptedSystem(), origin=LOCAL, public_url=None) as browser:
        for host in ("127.0.0.1:8010", "[::1]:8010", "localhost", "LOCALHOST:80"):
            assert (await browser.get("/catalog", headers={"Host": host})).status_code == 200, host


@pytest.mark.parametrize("reason", ["\u200b\u200e", "a\x01b", "a\x7fb", " \t\n "])
async def test_a_reason_can_be_read(reason: str) -> None:
    system = ScriptedSystem({"order-relay/v1/outbox/pause": {"paused": True}})
    async with console(system) as browser:
        fields = await form(browser)
        answer = await browser.post(PAUSE, data={**fields, "reason": reason}, headers=FORM)
    assert answer.status_code == 400
    assert [call for call in system.calls if call.startswith("POST")] == []


async def test_a_filter_is_not_cut_to_another_one() -> None:
    async with console(failing()) as browser:
        fields = {**await form(browser), "reason": "x", "per_second": "", "group": "g" * 301}
        for name, value in (("group", "g" * 301), ("type", "a\x00b"), ("failure", "\x1b")):
            path = "/dead-letters/order/redrive"
            answer = await browser.post(path, data={**fields, "group": "", name: value}, headers=FORM)
            assert answer.status_code == 400, name


@pytest.mark.parametrize(
    ("path", "called"),
    [
        ("/outbox/order-relay/group?subject=..", "/v1/outbox/groups/%2E%2E"),
        ("/outbox/order-relay/group?subject=a/../b", "/v1/outbox/groups/a/%2E%2E/b"),
        ("/dead-letters/order/message?id=..", "/v1/events/%2E%2E"),
        ("/dead-letters/order/message?id=../inbox", "/v1/events/..%2Finbox"),
    ],
)
async def test_an_id_of_dots_reaches_nothing_else(path: str, called: str) -> None:
    system = ScriptedSystem()
    async with console(system) as browser:
        await browser.get(path)
    assert called in {request.url.raw_path.decode().partition("?")[0] for request in system.requests}


@pytest.mark.parametrize("after", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "x", "0001-01-01T00:00:00+14:00"])
async def test_a_tail_begins_at_any_time(after: str) -> None:
    system = ScriptedSystem({"order/v1/recorded-events": RuntimeError})

    async with console(system) as browser:
        app: Any = browser._transport.app  # type: ignore[attr-defined]
        app.state.on_exit()
        answer = await browser.get("/tail/stream", params={"after": after})
    assert answer.status_code == 200


@pytest.mark.parametrize("cursor", ["0", "-1", "9223372036854775808", "1e3", "x"])
async def test_a_cursor_is_a_number_of_the_database(cursor: str) -> None:
    async with console(failing()) as browser:
        assert (await browser.get("/dead-letters", params={"cursor": cursor})).status_code == 400


async def test_another_method_gets_the_allowed_ones() -> None:
    async with console(ScriptedSystem()) as browser:
        answer = await browser.request("DELETE", PAUSE)
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def test_a_rejected_list_is_not_called_away() -> None:
    problem = httpx.Response(422, json={"title": "The request is not valid"})
    async with console(failing(**{"order/v1/failures": problem})) as browser:
        page = (await browser.get("/dead-letters")).text
    assert "One service did not give what this page asked for" in page
    assert "rejected the request" in page


async def test_a_dry_run_that_fails_does_not_say_that_something_may_have_changed() -> None:
    system = failing(**{"order/v1/redrives": httpx.ReadTimeout("slow")})
    async with console(system) as browser:
        await browser.get("/dead-letters/order/redrive?event_id=e-1")
        page = (await browser.get("/dead-letters/order/messages?event_id=e-1")).text
    assert "Nothing was changed. does not answer in time" in page


async def test_nothing_is_confirmed_for_no_dead_letter() -> None:
    nothing = {"messages": {"value": 0, "at_least": False}, "message_groups": 0, "redrive": None}
    async with console(failing(**{"order/v1/redrives": nothing})) as browser:
        answer = await browser.get("/dead-letters/order/redrive?event_id=e-1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dead-letters/order/messages?event_id=e-1")
        assert "No message matches any more" in (await browser.get(answer.headers["location"])).text


def test_the_text_of_a_service_ends_no_line_of_an_event() -> None:
    text = event_text("part", "off\revent: end\r\rdata: x\r\ny", "1")
    assert text == b"event: part\nid: 1\ndata: off\ndata: event: end\ndata: \ndata: data: x\ndata: y\n\n"


def test_a_chain_of_thousands_of_causes_is_drawn() -> None:
    ids = [f"e-{number}" for number in range(3000)]
    times = [f"2026-11-26T08:{number // 60:02}:{number % 60:02}+00:00" for number in range(3000)]
    records = [
        EventRecord(id, "order", recorded(id, "order.placed", 1, causation_id=cause, recorded_at=at))
        for id, cause, at in zip(ids, ["", *ids], times, strict=False)
    ]
    drawn = journey_events(records, merge([]))
    assert [each.record.event_id for each in drawn] == ids
    assert max(each.depth for each in drawn) == DEEPEST
    assert len(tree(records)) == -(-3000 // (DEEPEST + 1))
