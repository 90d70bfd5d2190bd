"""The payload of an event is masked until an operator gives a reason, and readers do not see it at all."""

from pathlib import Path

import httpx
import pytest

from tests.support.access import authenticated
from tests.support.console import FORM, ScriptedSystem, console, csrf_token, sign_in
from tests.support.console_events import ORDER, PLACED, shop

KEY = "0b54b2a2-7c3f-4c0e-8f0b-2f4c8c1b7f10"
ENVELOPE = {"id": PLACED, "type": "order.placed", "subject": ORDER}
MASKED = {**ENVELOPE, "data": {"recipient": "•••", "note": "<b>"}}
PATH = f"order/v1/events/{PLACED}/envelope"
REVEALS = f"order/v1/events/{PLACED}/reveals"


@pytest.fixture
def system() -> ScriptedSystem:
    found = shop()
    revealed = {**ENVELOPE, "data": {"recipient": "ada@example.com"}}

    def envelope(request: httpx.Request) -> dict[str, object]:
        if request.url.params.get("unmasked") == "true":
            return {"event_id": PLACED, "envelope": revealed, "masked": []}
        return {"event_id": PLACED, "envelope": MASKED, "masked": ["recipient"]}

    found.answers[PATH] = envelope
    found.answers[REVEALS] = {"event_id": PLACED, "seconds": 300}
    return found


async def test_personal_data_is_shown_once_for_a_reason(system: ScriptedSystem) -> None:
    address = f"/events/order/{PLACED}"
    async with console(system) as browser:
        page = (await browser.get(address)).text
        assert "•••" in page
        assert "&lt;b&gt;" in page
        assert "Personal data is masked: recipient" in page
        assert "Show it once" in (await browser.get(f"{address}/reveal")).text
        form = {"csrf_token": await csrf_token(browser, f"{address}/reveal"), "idempotency_key": KEY}
        assert (await browser.post(f"{address}/reveal", data=form, headers=FORM)).status_code == 400
        form["reason"] = "the customer asked"
        shown = await browser.post(f"{address}/reveal", data=form, headers=FORM)
        assert "ada@example.com" in shown.text
        assert shown.headers["cache-control"] == "no-store"
        assert "ada@example.com" not in (await browser.get(address)).text
    (asked,) = [each for each in system.requests if each.method == "POST"]
    assert asked.read() == b'{"reason":"the customer asked"}'


async def test_readers_see_no_payload_and_no_way_to_it(system: ScriptedSystem, tmp_path: Path) -> None:
    issuer, settings = authenticated(tmp_path)
    async with console(system, **settings) as browser:
        await sign_in(browser, issuer.token("rita", "reader"))
        assert (await browser.get(f"/events/order/{PLACED}")).status_code == 403
        assert f"/events/order/{PLACED}" not in (await browser.get(f"/journey/{ORDER}")).text
        await sign_in(browser, issuer.token("olga", "operator"))
        assert f"/events/order/{PLACED}" in (await browser.get(f"/journey/{ORDER}")).text


async def test_what_is_not_known_or_not_answered_is_said(system: ScriptedSystem) -> None:
    async with console(system) as browser:
        for path in (f"/events/nobody/{PLACED}", f"/events/order-relay/{PLACED}", f"/events/order/{ORDER}"):
            assert (await browser.get(path)).status_code == 404
        assert (await browser.get("/events/order/x")).status_code == 400
        system.answers[PATH] = httpx.ConnectError("refused")
        system.answers[REVEALS] = httpx.ConnectError("refused")
        assert (await browser.get(f"/events/order/{PLACED}")).status_code in (200, 503)
        token = await csrf_token(browser, f"/events/order/{PLACED}/reveal")
        form = {"csrf_token": token, "idempotency_key": KEY, "reason": "x"}
        answer = await browser.post(f"/events/order/{PLACED}/reveal", data=form, headers=FORM)
        assert answer.status_code == 303
        assert "Nothing was changed" in (await browser.get("/")).text
