"""The pages of dead letters and deferred messages, on scripted services."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.support.console import FORM, ScriptedSystem, console

AT = "2026-11-26T01:02:03+00:00"
GROUP = {
    "fingerprint": "f00d",
    "type": "order.placed",
    "reason": "failed",
    "error": "RuntimeError: <b>off</b>",
    "event_id": "e-1",
    "messages": 10_000,
    "message_groups": 1000,
    "first_at": AT,
    "last_at": AT,
}
FAILURES = {"items": [GROUP], "messages": {"value": 10_000, "at_least": False}, "next_cursor": "7"}
LETTER = {
    **{"id": 1, "event_id": "e-1", "message_group": "g", "type": "order.placed", "reason": "failed", "error": "off"},
    **{"attempts": 3, "deferred_at": AT, "blocks": True, "sequence": 1, "fingerprint": "f00d"},
}
WHEN = {"subject": "o", "time": AT, "processed_at": AT}
DEAD = {**LETTER, "status": "dead", "due_at": None}
LETTERS = {"items": [LETTER], "next_cursor": None}
REDRIVE = {
    **{"id": 4, "requested_at": AT, "requested_by": "olga", "reason": "the carrier is back", "selection": {}},
    **{"per_second": None, "chosen": {"value": 10, "at_least": False}, "redriven": 5, "finished_at": None},
    **{"stopped_at": None, "stopped_by": None, "stopped_reason": None, "waiting": 2, "dead": 1, "completed": 2},
}


def failing(**more: Any) -> ScriptedSystem:
    return ScriptedSystem(
        {
            "order/v1/failures": FAILURES,
            "order/v1/redrives": {"items": [REDRIVE], "next_cursor": None},
            "order/v1/dead-letters": LETTERS,
            **more,
        }
    )


async def test_groups_are_shown_escaped_with_links_to_their_messages() -> None:
    async with console(failing()) as browser:
        text = (await browser.get("/dead-letters")).text
    assert "RuntimeError: &lt;b&gt;off&lt;/b&gt;" in text
    assert "/dead-letters/order/messages?fingerprint=f00d" in text
    assert "/dead-letters?service=order&amp;cursor=7" in text
    assert "10,000" in text


async def test_a_service_that_is_away_is_named_and_the_others_are_shown() -> None:
    system = failing(**{"notification/v1/failures": httpx.ConnectError("no")})
    async with console(system) as browser:
        text = (await browser.get("/dead-letters")).text
    assert "/dead-letters/order/messages?fingerprint=f00d" in text
    assert re.search(r"<strong>notification</strong>: cannot be reached", text)


async def test_a_redrive_is_previewed_confirmed_and_requested_once() -> None:
    def redrives(request: httpx.Request) -> Any:
        if request.method == "GET":
            return {"items": []}
        body = json.loads(request.content)
        if body.get("dry_run"):
            return {"dry_run": True, "messages": {"value": 12, "at_least": False}, "message_groups": 3, "redrive": None}
        messages = {"value": 12, "at_least": False}
        return httpx.Response(
            202, json={"dry_run": False, "messages": messages, "message_groups": None, "redrive": REDRIVE}
        )

    system = failing(**{"order/v1/redrives": redrives})
    async with console(system) as browser:
        page = await browser.get("/dead-letters/order/redrive?fingerprint=f00d&per_second=10")
        assert "Redrive 12 dead letters" in page.text
        assert "at most 10 per second" in page.text
        fields = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', page.text))
        assert fields["fingerprint"] == "f00d"
        answers = [
            await browser.post("/dead-letters/order/redrive", data={**fields, "reason": "it is back"}, headers=FORM)
            for _ in range(2)
        ]
    assert {(each.status_code, each.headers["location"]) for each in answers} == {
        (303, "/dead-letters/order/redrives/4")
    }
    asked = [each for each in system.requests if each.method == "POST"][1:]
    assert len({each.headers["idempotency-key"] for each in asked}) == 1
    assert json.loads(asked[0].content) == {
        "fingerprint": "f00d",
        "reason": "it is back",
        "per_second": 10.0,
    }


async def test_a_discard_needs_a_reason_and_a_token() -> None:
    system = failing(**{"order/v1/dead-letters/discard": {"dry_run": True, "items": [LETTER], "next_cursor": None}})
    async with console(system) as browser:
        page = await browser.get("/dead-letters/order/changes/discard?event_id=e-1")
        assert "Discard 1 message<" in page.text
        fields = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', page.text))
        path = "/dead-letters/order/changes/discard"
        before = len(system.requests)
        assert (await browser.post(path, data={**fields, "reason": " "}, headers=FORM)).status_code == 400
        forged = {**fields, "reason": "x", "csrf_token": "guess"}
        assert (await browser.post(path, data=forged, headers=FORM)).status_code == 403
        foreign = {**FORM, "Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
        assert (await browser.post(path, data={**fields, "reason": "x"}, headers=foreign)).status_code == 403
        assert len(system.requests) == before
        done = await browser.post(path, data={**fields, "reason": "x"}, headers=FORM)
    assert (done.status_code, done.headers["location"]) == (303, "/dead-letters?service=order")


async def test_progress_is_streamed_until_every_message_has_an_outcome() -> None:
    over = {**REDRIVE, "finished_at": AT, "waiting": 0, "completed": 9, "redriven": 10}
    async with console(failing(**{"order/v1/redrives/4": over})) as browser:
        await browser.get("/dead-letters")
        stream = await browser.get("/dead-letters/order/redrives/4/stream")
        page = await browser.get("/dead-letters/order/redrives/4")
    assert stream.headers["content-type"].startswith("text/event-stream")
    names = re.findall(r"^event: (\w+)$", stream.text, re.MULTILINE)
    assert names == ["part", "end"]
    assert 'id="completed">9<' in stream.text
    assert "data-stream" not in page.text


async def test_the_progress_of_a_service_with_any_name_leads_to_its_stop() -> None:
    services = "streams=http://order.test,order-relay=http://order-relay.test"
    over = {**REDRIVE, "finished_at": None}
    async with console(failing(**{"order/v1/redrives/4": over}), event_trio_services=services) as browser:
        page = (await browser.get("/dead-letters/streams/redrives/4")).text
    assert 'href="/dead-letters/streams/redrives/4/stop"' in page
    assert 'data-stream="/dead-letters/streams/redrives/4/stream"' in page


async def test_a_payload_is_shown_to_an_operator_who_asks_only() -> None:
    event = {
        "event_id": "e-1",
        "recorded": None,
        "processed": {**LETTER, "outcome": "dead_letter", "actions": [], **WHEN, "deferred": DEAD},
    }
    details = {**LETTER, "envelope": '{"recipient": "ada@example.com"}', "attributes": {}, "actions": []}
    letter = "order/v1/dead-letters/e-1"
    system = failing(**{"order/v1/events/e-1": event, letter: details, f"{letter}/reveals": {"event_id": "e-1"}})
    address = "/dead-letters/order/message"
    async with console(system) as browser:
        page = await browser.get(f"{address}?id=e-1")
        assert "ada@example.com" not in page.text
        asked = await browser.get(f"{address}/reveal?id=e-1")
        fields = dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', asked.text))
        assert (await browser.post(f"{address}?id=e-1", data=fields, headers=FORM)).status_code == 400
        assert f"GET {letter}" not in system.calls
        reason = {"reason": "the customer asked"}
        shown = await browser.post(f"{address}?id=e-1", data={**fields, **reason}, headers=FORM)
        assert "ada@example.com" in shown.text
        assert "ada@example.com" not in (await browser.get(f"{address}?id=e-1")).text
        # What was not stored is not shown.
        system.answers[f"{letter}/reveals"] = httpx.ConnectError("no")
        again = await browser.post(f"{address}?id=e-1", data={**fields, **reason}, headers=FORM)
        assert again.status_code == 303
    assert system.calls.count(f"GET {letter}") == 1
    assert [each.url.query for each in system.requests if each.url.path == "/v1/dead-letters/e-1"] == [b"unmasked=true"]
    (stored, _) = [each for each in system.requests if each.url.path.endswith("/reveals")]
    assert json.loads(stored.content) == reason


async def test_unknown_services_relays_and_values_are_rejected() -> None:
    async with console(failing()) as browser:
        for path, status in (
            ("/dead-letters?service=nobody", 404),
            ("/dead-letters/order-relay/messages", 404),
            ("/dead-letters?status=handled", 400),
            ("/dead-letters?cursor=x", 400),
            ("/dead-letters/order/messages?since=yesterday", 400),
            ("/dead-letters/order/changes/delete?event_id=1", 400),
            ("/dead-letters/order/redrives/0", 400),
        ):
            assert (await browser.get(path)).status_code == status, path


async def test_a_filter_is_passed_to_the_service() -> None:
    system = failing()
    since = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC).isoformat()
    async with console(system) as browser:
        await browser.get("/dead-letters/order/messages", params={"group": "g 1", "since": since})
    asked = parse_qs(system.requests[-1].url.query.decode())
    assert asked == {"group": ["g 1"], "since": [since], "limit": ["50"]}


async def test_times_of_a_filter_are_those_of_the_reader() -> None:
    system = failing()
    async with console(system) as browser:
        browser.cookies.set("zone", "Asia%2FSeoul")
        page = await browser.get("/dead-letters/order/messages?since=2026-11-26T10:00&until=")
        asked = parse_qs(system.requests[-1].url.query.decode())
        assert asked == {"since": ["2026-11-26T10:00:00+09:00"], "limit": ["50"]}
        assert 'name="since" type="datetime-local" step="1" value="2026-11-26T10:00:00"' in page.text
        assert "since=2026-11-26T10%3A00%3A00%2B09%3A00" in page.text
        assert (await browser.get("/dead-letters/order/messages?since=0001-01-01T00:00")).status_code == 400
