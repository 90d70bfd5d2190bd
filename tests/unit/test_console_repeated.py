"""Forms that are sent again, pages that others have overtaken, and requests for headers: said, and made once."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from event_trio.http.replayed import REPLAYED
from services.console.pages import progress
from services.console.web.streams import Streams
from tests.support.console import FORM, ScriptedSystem, console, csrf_token
from tests.support.console_answers import system

KEY = "0b54b2a2-7c3f-4c0e-8f0b-2f4c8c1b7f10"
COUNT = {"value": 2, "at_least": False}
REDRIVE = {
    **{"id": 7, "requested_at": "2026-11-26T08:00:00Z", "requested_by": "olga", "reason": "repaired"},
    **{"selection": {"group": "g-1", "fingerprint": "f-1"}, "per_second": None, "chosen": COUNT, "redriven": 2},
    **{"finished_at": "2026-11-26T08:00:09Z", "stopped_at": None, "stopped_by": None, "stopped_reason": None},
    **{"waiting": 0, "dead": 0, "completed": 2},
}
PAUSE = "/outbox/order-relay/sending/pause"
LETTERS = "notification/v1/dead-letters"


async def send(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Confirm a change; the page after it."""
    token = await csrf_token(browser, PAUSE)
    form = {"csrf_token": token, "idempotency_key": KEY, "reason": "it is right", **fields}
    answer = await browser.post(path, data=form, headers=FORM)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def test_forms_of_tabs_that_were_opened_together_are_accepted_in_local_mode() -> None:
    async with console(ScriptedSystem()) as browser:
        # Neither tab has a cookie yet; the browser keeps the one of the later answer.
        first = await csrf_token(browser, PAUSE)
        browser.cookies.clear()
        await browser.get("/")
        answer = await browser.post(
            PAUSE,
            data={"csrf_token": first, "idempotency_key": KEY, "reason": "maintenance"},
            headers=FORM,
        )
        assert answer.status_code == 303


async def test_sessions_of_local_mode_have_streams_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[str] = []

    def respond(streams: Streams, owner: str, *parts: object, **given: object) -> Response:
        owners.append(owner)
        return Response()

    monkeypatch.setattr(Streams, "respond", respond)
    async with console(ScriptedSystem()) as browser:
        # The first request of a browser, and one after the console was restarted, begin a session.
        for keeps in (True, False, True):
            answer = await browser.get("/tail/stream")
            assert ("set-cookie" in answer.headers) is (len(owners) != 2)
            if not keeps:
                browser.cookies.clear()
    assert owners[0] == owners[1] != owners[2]


def replayed(body: dict[str, Any]) -> httpx.Response:
    """The stored answer of an earlier request with the same key."""
    return httpx.Response(200, json=body, headers={REPLAYED: "true"})


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (replayed({"paused": True}), "This form was sent before. order-relay made the change then"),
        (
            httpx.Response(422, json={"type": "https://x/idempotency-key-reused", "detail": "used"}),
            "This form was sent before, with other values.",
        ),
    ],
)
async def test_a_form_that_is_sent_again_says_that_nothing_was_changed_now(answer: httpx.Response, text: str) -> None:
    async with console(system(**{"order-relay/v1/outbox/pause": answer})) as browser:
        page = await send(browser, PAUSE)
    assert text in page.text
    assert "is paused." not in page.text


async def test_a_lost_answer_that_was_stored_is_the_answer_of_this_change() -> None:
    answers = iter([httpx.ReadError("lost"), replayed({"paused": True})])
    scripted = ScriptedSystem({"order-relay/v1/outbox/pause": lambda request: next(answers)})
    async with console(scripted) as browser:
        page = await send(browser, PAUSE)
    assert "The outbox of order is paused." in page.text


async def test_a_reload_of_a_page_with_a_payload_shows_it_masked() -> None:
    scripted = ScriptedSystem(
        {f"{LETTERS}/e-7/reveals": replayed({"event_id": "e-7"}), "notification/v1/events/e-7": {"event_id": "e-7"}}
    )
    async with console(scripted) as browser:
        page = await send(browser, "/dead-letters/notification/message?id=e-7")
    assert "give a reason again" in page.text
    assert "GET notification/v1/dead-letters/e-7" not in scripted.calls


async def test_a_discard_of_what_others_resolved_says_so() -> None:
    scripted = ScriptedSystem({f"{LETTERS}/discard": {"dry_run": False, "items": [], "next_cursor": None}})
    async with console(scripted) as browser:
        page = await send(browser, "/dead-letters/notification/changes/discard", event_id="e-7")
    assert "No message matches any more" in page.text
    assert "0 messages" not in page.text


@pytest.mark.parametrize(
    ("changed", "present", "absent"),
    [
        ({}, ["/messages?group=g-1", "finished"], ["resolved before", "failed again"]),
        ({"redriven": 0, "completed": 0}, ["2 of the selected dead letters were resolved before"], ["failed again"]),
        ({"redriven": 1, "completed": 1}, ["1 of the selected dead letters was resolved before"], []),
        ({"dead": 1, "completed": 1}, ["main-action", "failed again", "/messages?group=g-1"], ["resolved before"]),
        ({"redriven": 1, "stopped_at": "2026-11-26T08:00:09Z", "stopped_by": "olga"}, [], ["resolved before"]),
        ({"finished_at": None}, [">redriving<"], ["Dead letters of notification"]),
    ],
)
async def test_the_end_of_a_redrive_says_what_became_of_its_messages(
    changed: dict[str, Any], present: list[str], absent: list[str]
) -> None:
    async with console(ScriptedSystem({"notification/v1/redrives/7": {**REDRIVE, **changed}})) as browser:
        page = (await browser.get("/dead-letters/notification/redrives/7")).text
    assert [text for text in present if text not in page] == []
    assert [text for text in absent if text in page] == []


async def test_progress_stays_while_the_service_is_away_and_goes_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FOLLOW_SECONDS", 0.0)
    under_way = {**REDRIVE, "finished_at": None, "waiting": 1, "completed": 1}
    answers = iter([under_way, httpx.ConnectError("killed"), httpx.ConnectError("killed"), REDRIVE])
    scripted = ScriptedSystem({"notification/v1/redrives/7": lambda request: next(answers)})
    async with console(scripted) as browser:
        await browser.get("/")
        text = (await asyncio.wait_for(browser.get("/dead-letters/notification/redrives/7/stream"), 10)).text
    parts = text.split("event: part")[1:]
    assert ["does not answer. These are the last known values" in part for part in parts] == [False, True, True, False]
    assert ['id="completed">1<' in part for part in parts] == [True, True, True, False]
    assert 'id="completed">2<' in parts[-1]
    assert text.rstrip().endswith("event: end\ndata:")


async def test_head_is_answered_like_get_and_keeps_notices() -> None:
    async with console(ScriptedSystem({"order-relay/v1/outbox/pause": {"paused": True}})) as browser:
        await browser.get("/")
        token = await csrf_token(browser, PAUSE)
        form = {"csrf_token": token, "idempotency_key": KEY, "reason": "maintenance"}
        await browser.post(PAUSE, data=form, headers=FORM)
        for path, status in (("/", 200), ("/find", 200), ("/nothing", 404), ("/livez", 200), ("/tail/stream", 200)):
            assert (await browser.head(path)).status_code == status, path
        assert "The outbox of order is paused." in (await browser.get("/")).text


async def test_a_form_that_is_not_accepted_leads_back_to_its_page() -> None:
    async with console(ScriptedSystem()) as browser:
        await browser.get("/")
        for referer, shown in (("https://console.test/find?q=1", True), ("https://evil.test/find?q=1", False)):
            answer = await browser.post(PAUSE, headers={**FORM, "Referer": referer})
            assert answer.status_code == 400
            assert ('href="/find?q=1"' in answer.text) is shown
