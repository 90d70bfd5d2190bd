"""The pages of outboxes, on scripted relays: what they show, and the changes that they confirm."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.support.console import FORM, ScriptedSystem, console
from tests.support.waiting import eventually

AT = "2026-11-26T01:02:03+00:00"
COUNT = {"value": 3, "at_least": False}
OUTBOX = {
    **{"database_time": AT, "pending": COUNT, "unconfirmed": COUNT, "oldest_pending_seconds": 75.0},
    **{"held_groups": {"value": 1000, "at_least": True}, "relays": 0, "paused": None, "replay": None},
}
HELD = {
    **{"subject": "a/b c".replace(" ", ""), "reason": "InvalidParameter: <no>", "head_type": "order.placed"},
    **{"since": AT, "behind": COUNT, "releasing": False},
}
REPLAY = {
    **{"id": 4, "requested_at": AT, "requested_by": "olga", "reason": "lost", "criteria": {"subject": "a"}},
    **{"replayed": 7, "progress": 0.5, "finished_at": None, "cancelled_at": None, "cancelled_by": None},
}


def outbox(**more: Any) -> ScriptedSystem:
    return ScriptedSystem(
        {
            "order-relay/v1/outbox": OUTBOX,
            "order-relay/v1/outbox/held-groups": {"items": [HELD], "next_cursor": "a/bc"},
            "order-relay/v1/outbox/audit": {"items": [], "next_cursor": None},
            "order-relay/v1/outbox/replays/4": REPLAY,
            **more,
        }
    )


async def test_a_stuck_outbox_says_so() -> None:
    async with console(outbox()) as browser:
        for path in ("/outbox", "/outbox/order-relay"):
            text = (await browser.get(path)).text
            assert "No relay is alive" in text
            assert "1,000+" in text
            assert "1 min 15 s" in text


async def test_held_groups_are_escaped_and_lead_to_their_release() -> None:
    async with console(outbox()) as browser:
        text = (await browser.get("/outbox/order-relay")).text
    assert "InvalidParameter: &lt;no&gt;" in text
    assert "/outbox/order-relay/group/release?subject=a%2Fbc" in text
    assert "/outbox/order-relay?cursor=a%2Fbc" in text


@pytest.mark.parametrize(
    ("path", "called", "body"),
    [
        ("/outbox/order-relay/sending/pause", "/v1/outbox/pause", {}),
        ("/outbox/order-relay/sending/resume", "/v1/outbox/resume", {}),
        ("/outbox/order-relay/group/release?subject=a%2Fbc", "/v1/outbox/groups/a/bc/release", {}),
        ("/outbox/order-relay/group/hold?subject=x", "/v1/outbox/groups/x/hold", {}),
        ("/outbox/order-relay/replays/4/cancel", "/v1/outbox/replays/4/cancel", {}),
    ],
)
async def test_a_change_is_confirmed_with_a_reason(path: str, called: str, body: dict[str, Any]) -> None:
    system = outbox(**{f"order-relay{called}": {"done": True}})
    async with console(system) as browser:
        page = (await browser.get(path)).text
        fields = dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', page))
        action = re.findall(r'<form class="card" method="post" action="([^"]+)"', page)[0].replace("&amp;", "&")
        done = await browser.post(action, data={**fields, "reason": "it is right"}, headers=FORM)
    assert done.status_code == 303
    (asked,) = [request for request in system.requests if request.method == "POST"]
    assert (asked.url.path, json.loads(asked.content)) == (called, {**body, "reason": "it is right"})
    assert asked.headers["idempotency-key"] == fields["idempotency_key"]


async def test_a_replay_is_counted_before_it_is_requested() -> None:
    def replays(request: httpx.Request) -> Any:
        if json.loads(request.content)["dry_run"]:
            return {"dry_run": True, "events": 12, "replay": None}
        return httpx.Response(202, json={"dry_run": False, "events": 12, "replay": 4})

    system = outbox(**{"order-relay/v1/outbox/replays": replays})
    async with console(system) as browser:
        await browser.get("/outbox")
        page = (await browser.get("/outbox/order-relay/replay/preview?type=order.placed&since=2026-11-26T01:02")).text
        assert "Send 12 events again" in page
        fields = dict(re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', page))
        done = await browser.post("/outbox/order-relay/replay", data={**fields, "reason": "lost"}, headers=FORM)
    assert done.headers["location"] == "/outbox/order-relay/replays/4"
    requested = json.loads(system.requests[-1].content)
    assert requested == {
        "type": "order.placed",
        "since": "2026-11-26T01:02:00+00:00",
        "dry_run": False,
        "reason": "lost",
    }


async def test_a_replay_of_everything_says_so_and_none_is_requested_for_nothing() -> None:
    system = outbox(**{"order-relay/v1/outbox/replays": {"dry_run": True, "events": 0, "replay": None}})
    async with console(system) as browser:
        await browser.get("/outbox")
        answer = await browser.get("/outbox/order-relay/replay/preview?subject=a")
        assert answer.headers["location"] == "/outbox/order-relay/replay"
        assert "No sent event matches" in (await browser.get("/outbox/order-relay/replay")).text
        system.answers["order-relay/v1/outbox/replays"] = {
            "dry_run": True,
            "events": 5,
            "at_least": True,
            "replay": None,
        }
        page = (await browser.get("/outbox/order-relay/replay/preview")).text
    assert "all events of the outbox are sent again" in page
    assert "Send 5+ events again" in page


async def test_the_progress_of_a_replay_is_streamed_until_it_is_finished() -> None:
    over = {**REPLAY, "finished_at": AT, "cancelled_at": AT, "cancelled_by": "olga"}
    async with console(outbox(**{"order-relay/v1/outbox/replays/4": over})) as browser:
        await browser.get("/outbox")
        stream = (await browser.get("/outbox/order-relay/replays/4/stream")).text
        assert (await browser.get("/outbox/order-relay/replays/9")).status_code == 404
    assert re.findall(r"^event: (\w+)$", stream, re.MULTILINE) == ["part", "end"]
    assert "cancelled" in stream


async def test_the_buttons_of_a_page_that_was_opened_while_its_relay_was_away_come_with_the_answer() -> None:
    scripted = outbox()
    answer = scripted.answers["order-relay/v1/outbox"]
    async with console(scripted) as browser:
        scripted.answers["order-relay/v1/outbox"] = httpx.ConnectError("no")
        page = (await browser.get("/outbox/order-relay")).text
        assert ("/sending/pause" in page, "/outbox/order-relay/replay" in page) == (False, True)
        scripted.answers["order-relay/v1/outbox"] = answer

        async def refreshed() -> bool:
            part = await browser.get("/outbox/order-relay", headers={"HX-Request": "true", "HX-Target": "live"})
            return 'href="/outbox/order-relay/sending/pause"' in part.text and "<html" not in part.text

        await eventually(refreshed)
